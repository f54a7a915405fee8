import { useCallback, useMemo, useState, type KeyboardEvent } from "react";
import type { MemoryBlocks } from "../../../native/engine.ts";
import type { PaneSource } from "../../figure/pane.ts";
import { count, csvRow } from "../../lib/format.ts";
import type { Size } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { memoryClient } from "../../memory/client.ts";
import type { TimelineAnswer } from "../../memory/protocol.ts";
import { bytesText, exactBytes } from "../../memory/text.ts";
import { useLatest } from "../../policies/use-latest.ts";
import { useView } from "../../state/store.ts";
import { blockAt, drawBlocks, type BlocksPicture } from "./draw-blocks.ts";
import { Panel } from "./panel.tsx";
import type { MemoryPage } from "./use-memory-page.ts";

/** Segments and blocks of the allocator at the cursor, or where it failed, or at the peak. Arrow keys go from block to block. */
export function BlocksPanel({ page, answer, size, source }: { page: MemoryPage; answer: TimelineAnswer; size: Size; source: () => PaneSource }) {
  const cursor = useView((view) => view.memoryCursor);
  const event = Math.min(Math.max(0, answer.events - 1), cursor ?? (answer.failure === null ? answer.peak.event : answer.failure.event));
  const { config, allocator } = page;
  const asked = useLatest<MemoryBlocks>((signal) => memoryClient("live").call("blocks", { config, allocator, event }, signal), JSON.stringify([config, allocator, event]), "blocks");
  if (asked.value === null) return <div className="memory-blocks" style={{ height: size.height }} />;
  return <div className="memory-blocks"><Blocks page={page} blocks={asked.value} failed={cursor === null && answer.failure !== null} size={{ ...size, height: size.height - 24 }} source={source} /></div>;
}

function Blocks({ page: { catalogue }, blocks, failed, size, source }: { page: MemoryPage; blocks: MemoryBlocks; failed: boolean; size: Size; source: () => PaneSource }) {
  const palette = usePalette(), [chosen, setChosen] = useState<number | null>(null);
  const segments = new Set(blocks.segment).size, title = `Allocator ${failed ? "where it fails, at" : "at"} event ${count(blocks.event)}, modelled: ${count(segments)} segments end to end, ${bytesText(blocks.allocated)} of ${bytesText(blocks.reserved)} in use, largest free block ${bytesText(blocks.largestFree)}`;
  const picture = useMemo<BlocksPicture>(() => ({ palette, ...size, blocks, categories: catalogue.categories, chosen, title }), [palette, size, blocks, catalogue, chosen, title]);
  const draw = useCallback((g: SVGGElement) => drawBlocks(g, picture), [picture]);
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by === undefined || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    setChosen(chosen === null ? 0 : Math.min(blocks.bytes.length - 1, Math.max(0, chosen + by)));
  };
  return (
    <>
      <Panel
        id="blocks" title="Allocator: segments and blocks" label={title} help="Left and right arrow go from block to block." size={size} source={source} draw={draw} onKeyDown={onKeyDown}
        onMove={(x, y) => setChosen(blockAt(picture, x, y))} onLeave={() => setChosen(null)}
        csv={() => csvRow(["kind", "segment", "segment_bytes", "stream", "pool", "offset", "bytes", "requested_bytes", "category", "layer", "op"]) + [...blocks.bytes].map((bytes, i) => csvRow(["modelled", at(blocks.segment, i), at(blocks.segmentBytes, i), at(blocks.stream, i), at(blocks.small, i) === 1 ? "small" : "large", at(blocks.offset, i), bytes, at(blocks.requested, i), catalogue.categories[at(blocks.category, i)] ?? "free", at(blocks.layer, i), catalogue.ops[at(blocks.op, i)] ?? ""])).join("")}
      />
      <p className="memory-readout num" aria-live="polite" data-testid="block-readout">{chosen === null || chosen >= blocks.bytes.length ? <span className="quiet">Point at a block, or step with the arrow keys</span> : <BlockText blocks={blocks} index={chosen} category={catalogue.categories[at(blocks.category, chosen)] ?? null} op={catalogue.ops[at(blocks.op, chosen)] ?? ""} />}</p>
    </>
  );
}

const at = (column: ArrayLike<number>, i: number): number => column[i] as number;

function BlockText({ blocks, index, category, op }: { blocks: MemoryBlocks; index: number; category: string | null; op: string }) {
  const bytes = at(blocks.bytes, index), layer = at(blocks.layer, index);
  return (
    <>
      <b>{category ?? "free"}</b>
      <span title={exactBytes(bytes)}>{bytesText(bytes)}{category !== null && at(blocks.requested, index) < bytes ? `, ${bytesText(bytes - at(blocks.requested, index))} of it rounding` : ""}</span>
      {category !== null && <span>{layer >= 0 ? `layer ${layer}, ` : ""}{op.replaceAll("_", " ")}</span>}
      <span className="quiet">segment {count(at(blocks.segment, index))} of {bytesText(at(blocks.segmentBytes, index))}, {at(blocks.small, index) === 1 ? "small" : "large"} pool{at(blocks.stream, index) > 0 ? ", side stream" : ""}, offset {bytesText(at(blocks.offset, index))}</span>
    </>
  );
}
