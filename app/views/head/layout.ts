/** Where the parts of the head's plot lie, in CSS pixels from its top left corner. */
export interface PlotLayout {
  width: number; height: number;
  /** The map: a square. */
  left: number; top: number; side: number;
  /** Heights and widths of what surrounds it. */
  columnStrip: number; rowStrip: number; band: number; keyStrip: number; keyAxis: number; diagonalStrip: number;
  /** Strips and their names are narrowed. */
  compact: boolean;
}

const COLUMN_STRIP = 56, TOP_GAP = 16, ROW_GAP = 6, BAND = 5, KEY_AXIS = 60, KEY_STRIP = 20, DIAGONAL = 44, DIAGONAL_AXIS = 30;
/** Room for token texts and strip names on the left and for the row strip on the right; less of both in a narrow pane. */
const WIDE = { left: 104, rowStrip: 84 }, NARROW = { left: 66, rowStrip: 46 };

/** Smallest map that can still be read. */
export const MIN_SIDE = 200;

export interface LayoutOptions {
  /** Narrowed strips, for panes side by side. */
  compact?: boolean;
  /** A policy is laid over the map. */
  keyStrip?: boolean;
}

/** The largest plot that fits. */
export function plotLayout(width: number, height: number, { compact = false, keyStrip = false }: LayoutOptions = {}): PlotLayout {
  const { left, rowStrip } = compact ? NARROW : WIDE;
  const key = keyStrip ? KEY_STRIP : 0;
  const across = width - left - ROW_GAP - rowStrip;
  const down = height - TOP_GAP - COLUMN_STRIP - key - KEY_AXIS - DIAGONAL - DIAGONAL_AXIS;
  const side = Math.max(MIN_SIDE, Math.floor(Math.min(across, down)));
  return {
    width: left + side + ROW_GAP + rowStrip, height: TOP_GAP + COLUMN_STRIP + side + key + KEY_AXIS + DIAGONAL + DIAGONAL_AXIS,
    left, top: TOP_GAP + COLUMN_STRIP, side, compact,
    columnStrip: COLUMN_STRIP - 4, rowStrip, band: BAND, keyStrip: key, keyAxis: KEY_AXIS, diagonalStrip: DIAGONAL,
  };
}

export const rowStripLeft = (l: PlotLayout): number => l.left + l.side + ROW_GAP;
/** Where bands, ticks and texts of the key axis begin: below the strip of kept keys where there is one. */
export const keyAxisTop = (l: PlotLayout): number => l.top + l.side + l.keyStrip;
export const diagonalTop = (l: PlotLayout): number => keyAxisTop(l) + l.keyAxis;
