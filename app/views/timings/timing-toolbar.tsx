import { lengthTick } from "../../timings/text.ts";
import { GROUPS, shapeText } from "../../timings/selection.ts";
import { isMeasured } from "../../timings/devices.ts";
import { useStore, useView } from "../../state/store.ts";
import type { ViewState } from "../../state/view-state.ts";
import { Segmented } from "../shell/segmented.tsx";
import type { TimingPage } from "./use-timing-page.ts";

const GROUP_LABELS: Readonly<Record<ViewState["timingGroup"], { label: string; title: string }>> = {
  prefill: { label: "Prefill", title: "Dense, a-shape, vertical-slash, block-sparse attention over a prompt" },
  decode: { label: "Decode", title: "One step over all keys, and over a list of them" },
  parts: { label: "Parts", title: "Merging, LagKV scores, hashing, reductions of a capture" },
};

/** What is compared with what. Choices without a measurement are not offered. */
export function TimingToolbar({ page: { device, selection, choices, lengths, length, canRoof } }: { page: TimingPage }) {
  const store = useStore();
  // Attention alone is no other question where nothing comes before it.
  const phased = device.rows.some((row) => GROUPS[selection.group].includes(row.op) && row.phase !== "attention") && selection.group !== "parts";
  const view = useView((state) => state.timingView), roofline = useView((state) => state.roofline);
  return (
    <div className="toolbar timing-toolbar">
      <Segmented label="Operations" hideLabel value={selection.group} onChange={(timingGroup) => store.set({ timingGroup, timingLength: null })} options={choices.groups.map((value) => ({ value, ...GROUP_LABELS[value] }))} />
      <label className="field" title="Query heads / kv heads × channels of a head"><span>Heads</span>
        <select value={selection.shape} onChange={(event) => store.set({ timingShape: event.target.value })}>{choices.shapes.map((shape) => <option key={shape} value={shape}>{shapeText(shape)}</option>)}</select>
      </label>
      <Segmented label="Type" hideLabel value={selection.dtype} onChange={(dtype) => store.set({ timingDtype: dtype as ViewState["timingDtype"] })} options={choices.dtypes.map((value) => ({ value, label: value }))} />
      {choices.batchings.length > 0 && (
        <Segmented
          label="Launch" hideLabel value={selection.batching} onChange={(batching) => store.set({ timingBatching: batching === "per head" ? "perhead" : "batched" })}
          options={choices.batchings.map((value) => ({ value, label: value === "batched" ? "Batched" : "Per head", title: value === "batched" ? "One launch for all heads" : "One launch a head" }))}
        />
      )}
      {phased && (
        <Segmented
          label="Time" hideLabel value={selection.scope} onChange={(timingScope) => store.set({ timingScope })}
          options={[{ value: "total", label: "All phases", title: "Building the index and attention, added" }, { value: "attention", label: "Attention", title: "Attention alone, as if the index were there" }]}
        />
      )}
      {lengths.length > 0 && (
        <label className="field" title="Length of the phases and the speed-up ([ and ])"><span>at</span>
          <select value={length ?? ""} onChange={(event) => store.set({ timingLength: Number(event.target.value) })}>
            {[...new Set([...lengths, ...(length === null ? [] : [length])])].toSorted((a, b) => a - b).map((tokens) => <option key={tokens} value={tokens}>{lengthTick(tokens)}</option>)}
          </select>
        </label>
      )}
      {canRoof && <label className="field" title="Time below which the device's peaks let no kernel fall (P)"><input type="checkbox" checked={roofline} onChange={(event) => store.set({ roofline: event.target.checked })} /> Bound</label>}
      <span className="spacer" />
      {isMeasured(device) && <Segmented label="Show" hideLabel value={view} onChange={(timingView) => store.set({ timingView })} options={[{ value: "charts", label: "Charts" }, { value: "table", label: "Table" }]} />}
    </div>
  );
}
