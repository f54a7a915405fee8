import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import type { MemoryBlocks, MemoryCategory } from "../../../native/engine.ts";
import { bytesText } from "../../memory/text.ts";
import { part, round } from "../../marks/attributes.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";

export interface BlocksPicture { palette: Palette; width: number; height: number; blocks: MemoryBlocks; categories: readonly MemoryCategory[]; chosen: number | null; title: string }
export interface PlacedBlock { index: number; x: number; width: number; y: number; height: number; free: boolean; category: MemoryCategory | null }

const ROWS = { top: 24, gap: 5 };
const SIDE = 12;

/** Segments end to end in address order, over a few rows of equal bytes: areas compare across the whole picture. */
export function placeBlocks({ blocks, width, height, categories }: Pick<BlocksPicture, "blocks" | "width" | "height" | "categories">) {
  const count = Math.max(1, Math.min(4, Math.floor((height - ROWS.top) / 28))), pitch = (height - ROWS.top - 6) / count;
  const starts: number[] = [];
  let all = 0;
  for (let i = 0; i < blocks.bytes.length; i++) {
    starts.push(all);
    all += blocks.bytes[i] as number;
  }
  const scale = scaleLinear([0, Math.max(1, all / count)], [SIDE, width - SIDE]), row = Math.max(1, all / count);
  const placed: PlacedBlock[] = [];
  for (const [index, start] of starts.entries()) {
    const end = start + (blocks.bytes[index] as number), free = (blocks.requested[index] as number) === 0;
    for (let r = Math.min(count - 1, Math.floor(start / row)); r < count && r * row < end; r++) {
      const from = Math.max(start, r * row), to = r === count - 1 ? end : Math.min(end, (r + 1) * row);
      if (to > from) placed.push({ index, x: scale(from - r * row), width: scale(to - r * row) - scale(from - r * row), y: ROWS.top + pitch * r, height: pitch - ROWS.gap, free, category: free ? null : categories[blocks.category[index] as number] ?? null });
    }
  }
  return { placed, count };
}

/** Neighbours too thin to see are drawn as one where they are of a kind; all of them are still there to step through. */
function merged(placed: readonly PlacedBlock[]): PlacedBlock[] {
  const out: PlacedBlock[] = [];
  for (const block of placed) {
    const last = out.at(-1);
    if (last !== undefined && last.y === block.y && last.category === block.category && (block.width < 1.5 || last.width < 1.5)) out[out.length - 1] = { ...last, width: block.x + block.width - last.x };
    else out.push(block);
  }
  return out;
}

export function drawBlocks(g: SVGGElement, picture: BlocksPicture): void {
  g.setAttribute("font-family", FIGURE_FONT);
  g.setAttribute("font-size", String(FIGURE_FONT_SIZE));
  const { palette, blocks, chosen, title } = picture, { placed } = placeBlocks(picture);
  const shown = merged(placed);
  select(part(g, "blocks")).selectAll<SVGRectElement, PlacedBlock>("rect").data(shown).join("rect").attr("x", ({ x }) => round(x)).attr("y", ({ y }) => round(y)).attr("width", ({ width }) => round(Math.max(0.4, width - (width > 3 ? 0.6 : 0)))).attr("height", ({ height }) => round(height))
    .attr("fill", ({ category }) => (category === null ? palette.ground : palette.memory[category])).attr("stroke", ({ free }) => (free ? palette.axis : "none")).attr("stroke-width", 0.7).attr("data-block", ({ category }) => category ?? "free");
  const edges = placed.filter(({ index }, i) => index > 0 && placed[i - 1]?.index !== index && blocks.segment[index] !== blocks.segment[index - 1]);
  // Many segments are told by their gaps alone: as full lines they would cover what they hold.
  const many = edges.length > 80, over = many ? 0 : 1.5;
  select(part(g, "segments")).selectAll<SVGLineElement, PlacedBlock>("line").data(edges.length > 600 ? [] : edges).join("line").attr("x1", ({ x }) => round(x)).attr("x2", ({ x }) => round(x)).attr("y1", ({ y }) => round(y - over)).attr("y2", ({ y, height }) => round(y + height + over)).attr("stroke", many ? palette.ground : palette.text).attr("stroke-width", 1);
  const names = shown.filter(({ width, free }) => width > 64 && !free);
  select(part(g, "names")).selectAll<SVGTextElement, PlacedBlock>("text").data(names).join("text").attr("x", ({ x }) => round(x + 5)).attr("y", ({ y, height }) => round(y + height / 2 + 4)).attr("fill", palette.name === "light" ? "#101112" : "#ffffff").text(({ category, index }) => {
    const layer = blocks.layer[index] as number;
    return `${category}${layer >= 0 ? ` L${layer}` : ""}`;
  });
  const gaps = shown.filter(({ width, free }) => width > 74 && free);
  select(part(g, "gaps")).selectAll<SVGTextElement, PlacedBlock>("text").data(gaps).join("text").attr("x", ({ x }) => round(x + 5)).attr("y", ({ y, height }) => round(y + height / 2 + 4)).attr("fill", palette.secondary).text(({ index }) => `free ${bytesText(blocks.bytes[index] as number)}`);
  select(part(g, "chosen")).selectAll<SVGRectElement, PlacedBlock>("rect").data(placed.filter(({ index }) => index === chosen)).join("rect").attr("x", ({ x }) => round(x - 1)).attr("y", ({ y }) => round(y - 1)).attr("width", ({ width }) => round(Math.max(2, width + 1))).attr("height", ({ height }) => round(height + 2)).attr("fill", "none").attr("stroke", palette.text).attr("stroke-width", 2);
  select(part(g, "words")).selectAll<SVGTextElement, string>("text").data([title]).join("text").attr("x", SIDE).attr("y", 15).attr("fill", palette.secondary).text((text) => text);
}

export function blockAt(picture: BlocksPicture, px: number, py: number): number | null {
  return placeBlocks(picture).placed.find(({ x, width, y, height }) => px >= x && px < x + Math.max(1, width) && py >= y && py <= y + height)?.index ?? null;
}
