import { useCallback, useEffect, useMemo, useRef, useState, type KeyboardEvent } from "react";
import type { PaneSource } from "../../figure/pane.ts";
import { csvRow } from "../../lib/format.ts";
import type { Size } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { eventAtShare, zoomed } from "../../memory/axis.ts";
import { momentAt, momentOf, momentOfEvent, type Moment } from "../../memory/columns.ts";
import type { TimelineAnswer } from "../../memory/protocol.ts";
import { schemeName, shortName } from "../../memory/scheme.ts";
import { contextText } from "../../memory/text.ts";
import { useStore, useView } from "../../state/store.ts";
import { Mark } from "../shell/mark.tsx";
import { DASHES, drawCursor, drawTimeline, placeTimeline, type TimelinePicture } from "./draw-timeline.ts";
import { Panel } from "./panel.tsx";
import type { MemoryPage } from "./use-memory-page.ts";

interface Props { page: MemoryPage; answer: TimelineAnswer; size: Size; source: () => PaneSource; onRead: (moment: Moment | null) => void }

/** Bytes by category over events. The wheel zooms, a click sets the cursor, arrow keys step it from event to event. */
export function TimelinePanel({ page, answer, size, source, onRead }: Props) {
  const store = useStore(), palette = usePalette(), cursor = useView((view) => view.memoryCursor);
  const { places, sight, catalogue, allocator, device, others, memory, model } = page;
  const [hovered, setHovered] = useState<number | null>(null);
  const area = useRef<HTMLDivElement>(null);
  const picture = useMemo<TimelinePicture>(() => ({
    palette, ...size, answer, places, sight, categories: catalogue.categories, budget: allocator.budgetBytes, device: device.name.replace(/^NVIDIA /, ""),
    others: (others.value ?? []).filter(({ answer: run }) => run.spans.length === places.length).map(({ scheme, answer: run }, i) => ({ name: shortName(scheme), dash: DASHES[i] ?? "2 2", answer: run })),
    title: `${model.name}, ${contextText(memory.tokens)} + ${memory.generated} tokens, ${schemeName(memory.scheme)}; modelled, ${memory.by}; columns show their largest sum, phases have widths of their own`,
  }), [palette, size, answer, places, sight, catalogue, allocator, device, others.value, memory, model]);
  const placed = useMemo(() => placeTimeline(picture), [picture]);
  const draw = useCallback((g: SVGGElement) => drawTimeline(g, picture), [picture]);
  const mark = useCallback((g: SVGGElement) => drawCursor(g, picture, hovered, cursor), [picture, hovered, cursor]);

  const columnAt = (x: number): number | null => {
    const column = Math.floor(x - placed.left);
    return column >= 0 && column < placed.count ? column : null;
  };
  const shareAt = (x: number): number => sight.begin + ((x - placed.left) / placed.count) * (sight.end - sight.begin);
  const show = (column: number | null): void => {
    const moment = column === null ? null : momentAt(answer, placed.columns, column);
    setHovered(moment === null ? null : column);
    onRead(moment);
  };
  // React listens to wheels passively and could not keep the page from scrolling.
  const wheel = useRef<(event: WheelEvent) => void>(() => {});
  useEffect(() => {
    wheel.current = (event) => {
      event.preventDefault();
      const x = event.clientX - (area.current?.getBoundingClientRect().left ?? 0);
      store.set({ memoryWindow: zoomed(store.get().memoryWindow, Math.min(1, Math.max(0, shareAt(x))), Math.exp(event.deltaY / 400)) }, { gesture: "memory window" });
    };
  });
  useEffect(() => {
    const element = area.current, listen = (event: WheelEvent): void => wheel.current(event);
    element?.addEventListener("wheel", listen, { passive: false });
    return () => element?.removeEventListener("wheel", listen);
  }, []);
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -100, PageDown: 100 }[event.key];
    if (by === undefined || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const next = Math.min(answer.events - 1, Math.max(0, (cursor ?? answer.peak.event) + (cursor === null ? 0 : event.shiftKey ? by * 10 : by)));
    store.set({ memoryCursor: next }, { gesture: "memory cursor" });
    onRead(momentOfEvent(answer, next));
  };
  return (
    <div ref={area} className="memory-timeline">
      <Panel
        id="timeline" title="Memory over a request" label={picture.title} help="Arrow keys step the cursor from event to event, Page keys by a hundred; W and S zoom, A and D pan." size={size} source={source} draw={draw} hand
        csv={() => timelineCsv(page, answer)} onKeyDown={onKeyDown} onMove={(x) => show(columnAt(x))} onLeave={() => show(null)}
        onClick={(x) => {
          const column = columnAt(x), moment = column === null ? null : momentAt(answer, placed.columns, column);
          if (column !== null) store.set({ memoryCursor: moment?.event ?? eventAtShare(answer.spans, places, shareAt(x)) });
        }}
      >
        <Mark draw={mark} />
      </Panel>
    </div>
  );
}

/** Every point that was computed for what is in sight, of all runs. */
function timelineCsv({ catalogue, memory, others }: MemoryPage, answer: TimelineAnswer): string {
  const runs = [{ scheme: memory.scheme, answer }, ...(others.value ?? [])];
  return csvRow(["scheme", "kind", "event", "phase", "step", "layer", "op", ...catalogue.categories.map((category) => `${category}_bytes`), "total_bytes", "reserved_bytes", "largest_free_bytes", "host_bytes", "to_host_bytes", "to_device_bytes"])
    + runs.flatMap((run) => run.answer.parts.flatMap((part) => Array.from({ length: part.points }, (_, i) => {
      const moment = momentOf(part, i);
      return csvRow([schemeName(run.scheme), "modelled", moment.event, catalogue.phases[moment.phase] ?? "", moment.step, moment.layer, catalogue.ops[moment.op] ?? "", ...moment.categories, moment.total, moment.reserved, moment.largestFree, moment.host, moment.toHost, moment.toDevice]);
    }))).join("");
}
