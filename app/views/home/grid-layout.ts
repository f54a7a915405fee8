/**
 * Where every head goes, in CSS pixels. Two shapes: rows of layers with kv groups set apart, or a ranked list that wraps,
 * each cell with a line of text below it. Pure, so that canvas, figure and keyboard agree to the pixel.
 */
export interface GridShape {
  layers: number;
  heads: number;
  kvHeads: number;
  /** Space on screen; cells shrink to fit both if height is given, the width alone otherwise. */
  width: number;
  height?: number;
  /** layer * heads + head in ranked order; null for layers x heads. */
  ranked: ArrayLike<number> | null;
  /** Cells a side of a thumbnail; large ones get a whole number of pixels each. */
  thumbSide?: number;
  /** Largest and smallest side of a cell. */
  largest: number;
  smallest: number;
}

export interface GridCell {
  layer: number;
  head: number;
  x: number;
  y: number;
  /** Place in reading order. */
  index: number;
}

export interface GridLayout {
  width: number;
  height: number;
  cell: number;
  /** From one row to the next. */
  pitch: number;
  columns: number;
  cells: readonly GridCell[];
  /** Hairlines between kv groups: x positions; empty in the ranked list. */
  groupLines: readonly number[];
  labels: readonly { text: string; x: number; y: number; anchor: "start" | "middle" | "end" }[];
  ranked: boolean;
}

export const LABEL_LEFT = 28;
export const LABEL_TOP = 18;
/** Height of the text below a ranked cell. */
export const RANK_LINE = 30;
const RANK_GAP = 10;
/** Least width of a ranked cell, so that "L31 H31" fits below it. */
const RANK_WIDTH = 58;

/** kv head of a query head. */
export const kvHeadOf = (head: number, heads: number, kvHeads: number): number => Math.floor(head / (heads / kvHeads));

export function layoutGrid(shape: GridShape): GridLayout {
  return shape.ranked === null ? byLayer(shape) : byRank(shape, shape.ranked);
}

function byLayer({ layers, heads, kvHeads, width, height, largest, smallest, thumbSide = 1 }: GridShape): GridLayout {
  const grouped = kvHeads < heads;
  const groups = grouped ? kvHeads : 1;
  const { gap, groupGap } = spacing((width - LABEL_LEFT) / heads);
  const gaps = (heads - groups) * gap + (groups - 1) * groupGap;
  const fitWidth = (width - LABEL_LEFT - gaps) / heads;
  const fitHeight = height === undefined ? Infinity : (height - LABEL_TOP - (layers - 1) * gap) / layers;
  const cell = wholePixels(Math.max(smallest, Math.min(largest, Math.floor(Math.min(fitWidth, Math.max(fitHeight, smallest))))), thumbSide);
  const xs: number[] = [];
  const groupLines: number[] = [];
  let x = LABEL_LEFT;
  for (let head = 0; head < heads; head++) {
    if (head > 0) {
      const newGroup = grouped && kvHeadOf(head, heads, kvHeads) !== kvHeadOf(head - 1, heads, kvHeads);
      if (newGroup) groupLines.push(x + cell + (groupGap - 1) / 2);
      x += cell + (newGroup ? groupGap : gap);
    }
    xs.push(x);
  }
  const cells: GridCell[] = [];
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < heads; head++) {
      cells.push({ layer, head, x: xs[head] as number, y: LABEL_TOP + layer * (cell + gap), index: cells.length });
    }
  }
  return {
    width: x + cell, height: LABEL_TOP + layers * (cell + gap) - gap, cell, pitch: cell + gap, columns: heads, cells, groupLines, ranked: false,
    labels: [...layerLabels(layers, cell, gap), ...headLabels(xs, cell, gap)],
  };
}

/** One pixel between many heads in a narrow rail, air between few large ones. */
function spacing(room: number): { gap: number; groupGap: number } {
  if (room < 12) return { gap: 1, groupGap: 3 };
  return room < 80 ? { gap: 2, groupGap: 7 } : { gap: 10, groupGap: 23 };
}

/** Large thumbnails take a whole number of pixels a cell, so that none looks wider than its neighbour. */
const wholePixels = (side: number, thumbSide: number): number => (side < 2 * thumbSide ? side : side - (side % thumbSide));

/** Every label that has room: 12 pixels a layer, 20 a head; in round steps otherwise. */
function layerLabels(layers: number, cell: number, gap: number): GridLayout["labels"] {
  const every = stepFor(12 / (cell + gap));
  return Array.from({ length: layers }, (_, layer) => ({ text: `L${layer}`, x: LABEL_LEFT - 6, y: LABEL_TOP + layer * (cell + gap) + cell / 2 + 4, anchor: "end" as const }))
    .filter((_, layer) => layer % every === 0);
}

function headLabels(xs: readonly number[], cell: number, gap: number): GridLayout["labels"] {
  const every = stepFor(22 / (cell + gap));
  return xs.map((x, head) => ({ text: `H${head}`, x: x + cell / 2, y: LABEL_TOP - 6, anchor: "middle" as const })).filter((_, head) => head % every === 0);
}

const stepFor = (cells: number): number => [1, 2, 4, 8, 16, 32].find((step) => step >= cells) ?? 64;

function byRank({ heads, width, largest, smallest }: GridShape, ranked: ArrayLike<number>): GridLayout {
  const cell = Math.max(smallest, Math.min(largest, 96));
  const pitch = Math.max(cell, RANK_WIDTH) + RANK_GAP;
  const columns = Math.max(1, Math.floor((width + RANK_GAP) / pitch));
  const cells = Array.from({ length: ranked.length }, (_, index): GridCell => {
    const id = ranked[index] as number;
    return {
      layer: Math.floor(id / heads), head: id % heads, index,
      x: (index % columns) * pitch, y: Math.floor(index / columns) * (cell + RANK_LINE + 4),
    };
  });
  return {
    width: Math.min(columns, ranked.length) * pitch - RANK_GAP, height: Math.ceil(ranked.length / columns) * (cell + RANK_LINE + 4),
    cell, pitch: cell + RANK_LINE + 4, columns, cells, groupLines: [], labels: [], ranked: true,
  };
}

/** The cell at a point, or null between cells. Rows have equal height, so only one row is searched. */
export function cellAt(layout: GridLayout, x: number, y: number): GridCell | null {
  const row = Math.floor((y - (layout.ranked ? 0 : LABEL_TOP)) / layout.pitch);
  if (row < 0) return null;
  const begin = row * layout.columns;
  for (let i = begin; i < Math.min(begin + layout.columns, layout.cells.length); i++) {
    const cell = layout.cells[i] as GridCell;
    if (x >= cell.x && x < cell.x + layout.cell + 1 && y >= cell.y && y < cell.y + layout.cell + 1) return cell;
  }
  return null;
}

/** Where an arrow key leads from a cell, staying inside. */
export function neighbour(layout: GridLayout, from: GridCell, key: string): GridCell {
  const column = from.index % layout.columns;
  const last = layout.cells.length - 1;
  const target = {
    ArrowLeft: layout.ranked || column > 0 ? from.index - 1 : from.index,
    ArrowRight: layout.ranked || column < layout.columns - 1 ? from.index + 1 : from.index,
    ArrowUp: from.index - layout.columns, ArrowDown: from.index + layout.columns, Home: 0, End: last,
  }[key] ?? from.index;
  return target < 0 || target > last ? from : (layout.cells[target] as GridCell);
}
