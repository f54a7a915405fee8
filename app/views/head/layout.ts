/** Where the parts of the head's plot lie, in CSS pixels from its top left corner. */
export interface PlotLayout {
  width: number; height: number;
  /** The map: a square. */
  left: number; top: number; side: number;
  /** Heights and widths of what surrounds it. */
  columnStrip: number; rowStrip: number; band: number; keyAxis: number; diagonalStrip: number;
}

const LEFT = 104, COLUMN_STRIP = 56, TOP_GAP = 16, ROW_STRIP = 84, ROW_GAP = 6, BAND = 5, KEY_AXIS = 60, DIAGONAL = 44, DIAGONAL_AXIS = 30;

/** Smallest map that can still be read. */
export const MIN_SIDE = 240;

/** The largest plot that fits. */
export function plotLayout(width: number, height: number): PlotLayout {
  const across = width - LEFT - ROW_GAP - ROW_STRIP;
  const down = height - TOP_GAP - COLUMN_STRIP - KEY_AXIS - DIAGONAL - DIAGONAL_AXIS;
  const side = Math.max(MIN_SIDE, Math.floor(Math.min(across, down)));
  return {
    width: LEFT + side + ROW_GAP + ROW_STRIP, height: TOP_GAP + COLUMN_STRIP + side + KEY_AXIS + DIAGONAL + DIAGONAL_AXIS,
    left: LEFT, top: TOP_GAP + COLUMN_STRIP, side,
    columnStrip: COLUMN_STRIP - 4, rowStrip: ROW_STRIP, band: BAND, keyAxis: KEY_AXIS, diagonalStrip: DIAGONAL,
  };
}

export const rowStripLeft = (l: PlotLayout): number => l.left + l.side + ROW_GAP;
export const diagonalTop = (l: PlotLayout): number => l.top + l.side + l.keyAxis;
