import { useCallback, useMemo } from "react";
import type { MemoryRemedy } from "../../../native/engine.ts";
import type { PaneSource } from "../../figure/pane.ts";
import { csvRow } from "../../lib/format.ts";
import { usePalette } from "../../marks/theme.ts";
import { schemeOfEngine } from "../../memory/config.ts";
import type { Outlook } from "../../memory/protocol.ts";
import { writeScheme } from "../../memory/scheme.ts";
import { bytesText, exactBytes } from "../../memory/text.ts";
import { useStore } from "../../state/store.ts";
import { timeText } from "../../timings/text.ts";
import { drawPeak, peakHeight, peakRows, type PeakPicture } from "./draw-peak.ts";
import { Panel } from "./panel.tsx";
import type { MemoryPage } from "./use-memory-page.ts";

/** What holds memory when it is highest, why, and which switches would lower it; a switch is a click away. */
export function PeakSide({ page, outlook, width, source }: { page: MemoryPage; outlook: Outlook; width: number; source: () => PaneSource }) {
  const palette = usePalette(), peak = outlook.peaks[0] as Outlook["peaks"][number], { catalogue, allocator, timeline } = page;
  const picture = useMemo<PeakPicture>(() => ({ palette, width, peak, categories: catalogue.categories }), [palette, width, peak, catalogue]);
  const draw = useCallback((g: SVGGElement) => drawPeak(g, picture), [picture]);
  const over = allocator.budgetBytes > 0 && peak.bytes > allocator.budgetBytes, failed = timeline.value !== null && timeline.fresh && timeline.value.failure !== null;
  const place = [peak.phase, peak.phase === "decode" ? `step ${peak.step + 1}` : peak.step > 0 ? `call ${peak.step + 1}` : "", peak.layer >= 0 ? `layer ${peak.layer}` : ""].filter((text) => text !== "").join(", ");
  return (
    <section className="memory-peak" aria-label="Peak">
      <h2><span title={exactBytes(peak.bytes)} data-testid="peak-bytes">Peak {bytesText(peak.bytes)}</span>{over || failed ? <span className="tag warn" title={over ? "More bytes than the budget" : "Fewer bytes than the budget, but the allocator finds no block that is large enough"}>{over ? "over the budget" : "does not fit"}</span> : <span className="tag" title="Computed from the order of allocations of the implementation; nothing was measured">modelled</span>}</h2>
      <p className="caption" title={`Held then: ${peak.formula}`}>{place}, at {peak.stage.replaceAll("_", " ")}: <span className="formula">{peak.formula}</span></p>
      <Panel
        id="peak" title="What holds memory at the peak" label={`Peak of ${bytesText(peak.bytes)} by category`} size={{ width, height: peakHeight(picture) }} source={source} draw={draw}
        csv={() => csvRow(["category", "kind", "bytes"]) + peakRows(picture).map(({ category, bytes }) => csvRow([category, "modelled", bytes])).join("")}
      />
      {peak.remedies.length > 0 ? (
        <>
          <h3>What would lower it</h3>
          <ul className="remedies">{peak.remedies.map((remedy) => <Remedy key={remedy.what} remedy={remedy} page={page} />)}</ul>
        </>
      ) : <p className="caption">No switch of the scheme lowers this peak.</p>}
      <Times outlook={outlook} rates={catalogue.rates} />
    </section>
  );
}

function Remedy({ remedy, page: { memory } }: { remedy: MemoryRemedy; page: MemoryPage }) {
  const store = useStore(), palette = usePalette();
  return (
    <li>
      <button type="button" title={`Apply: the peak becomes ${bytesText(remedy.bytes)}, at ${remedy.stage.replaceAll("_", " ")}`} onClick={() => store.set({ memory: { ...memory, scheme: writeScheme(schemeOfEngine(remedy.scheme)) }, memoryCursor: null })}>
        <i style={{ background: palette.memory[remedy.category] }} title={`takes most from ${remedy.category}`} />
        <span className="what">{remedy.what}</span>
        <span className="num">−{bytesText(remedy.saved)}</span>
      </button>
    </li>
  );
}

const secondsText = (seconds: number): string => timeText(seconds * 1e6);

function Times({ outlook: { times }, rates }: { outlook: Outlook; rates: string }) {
  if (times === null) return null;
  return (
    <dl className="memory-times num" title={`Modelled: ${rates}`}>
      <div><dt>First token</dt><dd>≈ {secondsText(times.firstTokenSeconds)}{times.linkSeconds > 0 ? ` (link ${secondsText(times.linkSeconds)}; ${secondsText(times.firstTokenOverlappedSeconds)} if overlapped)` : ""}</dd></div>
      {times.lastStepSeconds > 0 && <div><dt>Decode step</dt><dd>≈ {secondsText(times.lastStepSeconds)}</dd></div>}
    </dl>
  );
}
