import type { MemoryCatalogue } from "../../../native/engine.ts";
import { count } from "../../lib/format.ts";
import { usePalette } from "../../marks/theme.ts";
import type { Moment } from "../../memory/columns.ts";
import { useStore } from "../../state/store.ts";
import { bytesText, exactBytes } from "../../memory/text.ts";

/** One event in words: where it is in the request, and what is held then. */
export function MomentLine({ moment, catalogue, own, fallback }: {
  moment: Moment | null; catalogue: MemoryCatalogue; fallback: string;
  /** The model is that of the open capture: its layers have maps. */
  own: boolean;
}) {
  const palette = usePalette(), store = useStore();
  if (moment === null) return <p className="memory-readout"><span className="quiet">{fallback}</span></p>;
  const phase = catalogue.phases[moment.phase] ?? "", step = phase === "decode" ? ` step ${moment.step + 1}` : phase === "prefill" ? ` call ${moment.step + 1}` : "";
  return (
    <p className="memory-readout num" data-testid="moment">
      <span>event {count(moment.event)}</span>
      <span><b>{phase}</b>{step}{moment.layer >= 0 ? `, layer ${moment.layer}` : ""}, {(catalogue.ops[moment.op] ?? "").replaceAll("_", " ")}</span>
      <span><b title={exactBytes(moment.total)}>{bytesText(moment.total)}</b> <span className="quiet">reserved {bytesText(moment.reserved)}, largest free {bytesText(moment.largestFree)}{moment.host > 0 ? `, host ${bytesText(moment.host)}` : ""}</span></span>
      {own && moment.layer >= 0 && <button type="button" className="link" onClick={() => store.set({ page: "head", layer: moment.layer })}>Map of layer {moment.layer}</button>}
      {catalogue.categories.map((category, i) => {
        const bytes = moment.categories[i] as number;
        return bytes < 0.0005 * moment.total ? null : <span key={category} title={`${category}: ${exactBytes(bytes)}`}><i style={{ background: palette.memory[category] }} />{category} {bytesText(bytes)}</span>;
      })}
    </p>
  );
}
