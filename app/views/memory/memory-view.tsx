import { useCallback, useMemo, useRef, useState } from "react";
import type { MemoryCatalogue } from "../../../native/engine.ts";
import { useActions } from "../../actions/registry.ts";
import type { PaneSource } from "../../figure/pane.ts";
import { problemOf } from "../../lib/problem.ts";
import { useSize, type Size } from "../../lib/use-size.ts";
import { momentOfEvent, type Moment } from "../../memory/columns.ts";
import { schemeName } from "../../memory/scheme.ts";
import { CAPTURE_MODEL } from "../../memory/shapes.ts";
import { exactBytes } from "../../memory/text.ts";
import { useView } from "../../state/store.ts";
import { memoryActions } from "./actions.ts";
import { BlocksPanel } from "./blocks-panel.tsx";
import { LongestPanel, SweepPanel } from "./lower-panels.tsx";
import { MemoryForm } from "./memory-form.tsx";
import { MemoryToolbar } from "./memory-toolbar.tsx";
import { MomentLine } from "./moment-line.tsx";
import { PeakSide } from "./peak-side.tsx";
import { TimelinePanel } from "./timeline-panel.tsx";
import { useCatalogue, useMemoryPage, type MemoryPage } from "./use-memory-page.ts";
import "../policies/policies.css";
import "./memory.css";

/** What a request holds: modelled, by who runs it and how. */
export function MemoryView() {
  const read = useCatalogue();
  if (read.state === "failed") throw read.error;
  return read.value === null ? <p className="waiting">Loading the memory model</p> : <Page catalogue={read.value} />;
}

function Page({ catalogue }: { catalogue: MemoryCatalogue }) {
  const page = useMemoryPage(catalogue), { model, memory, device, allocator, outlook, timeline } = page;
  const peak = timeline.value?.peak.event ?? null;
  useActions(useMemo(() => memoryActions(peak), [peak]));
  const side = useRef<HTMLElement>(null), sideSize = useSize(side);
  const source = useCallback((): PaneSource => ({
    stem: `memory-${model.id}`,
    facts: {
      kind: "modelled", model: model.name, implementation: memory.by, scheme: schemeName(memory.scheme), promptTokens: String(memory.tokens), generatedTokens: String(memory.generated), kv: memory.kv === "model" ? "bf16" : memory.kv,
      device: device.name, budget: exactBytes(allocator.budgetBytes), allocator: allocator.expandable ? "PyTorch, expandable segments" : "PyTorch, fixed segments",
    },
  }), [model, memory, device, allocator]);
  const error = outlook.error ?? timeline.error ?? page.others.error ?? page.searchError;
  return (
    <div className="memory" data-testid="memory" data-searching={page.searching}>
      <section className="memory-main" aria-label="Memory">
        <MemoryToolbar page={page} />
        {error !== null && <p className="danger" role="alert" data-testid="memory-problem">{problemOf(error).sentence} {problemOf(error).next} <code>{problemOf(error).code}</code></p>}
        <Charts page={page} source={source} />
      </section>
      <aside className="memory-side" aria-label="Configuration and peak" ref={side}>
        <MemoryForm page={page} />
        {outlook.value !== null && sideSize !== null && <PeakSide page={page} outlook={outlook.value} width={sideSize.width - 24} source={source} />}
      </aside>
    </div>
  );
}

const READOUT = 28;
/** Under these the page scrolls. */
const LEAST = { timeline: 240, lower: 190, blocks: 150 };

function Charts({ page, source }: { page: MemoryPage; source: () => PaneSource }) {
  const area = useRef<HTMLDivElement>(null), size = useSize(area);
  const blocks = useView((view) => view.memoryBlocks), cursor = useView((view) => view.memoryCursor);
  const [hovered, setHovered] = useState<Moment | null>(null);
  const { outlook, timeline, catalogue } = page, answer = timeline.value;
  const layout = useMemo(() => (size === null ? null : place(size, blocks)), [size, blocks]);
  const moment = useMemo(() => hovered ?? (answer === null || cursor === null ? null : momentOfEvent(answer, Math.min(cursor, Math.max(0, answer.events - 1)))), [hovered, answer, cursor]);
  return (
    <div className="memory-charts" ref={area} data-stale={!timeline.fresh}>
      {layout !== null && answer !== null && answer.spans.length === page.places.length && (
        <>
          <TimelinePanel page={page} answer={answer} size={layout.timeline} source={source} onRead={setHovered} />
          <MomentLine moment={moment} catalogue={catalogue} own={page.model.id === CAPTURE_MODEL} fallback="Point at the timeline for what is held there; click to set the cursor" />
          {layout.blocks !== null && <BlocksPanel page={page} answer={answer} size={layout.blocks} source={source} />}
        </>
      )}
      {layout !== null && outlook.value !== null && (
        <div className="memory-lower">
          <SweepPanel page={page} outlook={outlook.value} size={layout.sweep} source={source} />
          <LongestPanel page={page} outlook={outlook.value} size={layout.longest} source={source} />
        </div>
      )}
    </div>
  );
}

function place({ width, height }: Size, withBlocks: boolean): { timeline: Size; blocks: Size | null; sweep: Size; longest: Size } {
  const lower = Math.max(LEAST.lower, Math.round(height * (withBlocks ? 0.3 : 0.36))), blocks = withBlocks ? Math.max(LEAST.blocks, Math.round(height * 0.2)) : 0;
  const left = Math.floor((width - 1) * 0.5);
  return {
    timeline: { width, height: Math.max(LEAST.timeline, height - lower - blocks - READOUT - (withBlocks ? 3 : 2)) }, blocks: withBlocks ? { width, height: blocks } : null,
    sweep: { width: left, height: lower }, longest: { width: width - 1 - left, height: lower },
  };
}
