import { useMemo } from "react";
import { removePolicy, withPolicy } from "../../policies/change.ts";
import { fairnessLabels } from "../../policies/labels.ts";
import { LETTERS } from "../../policies/pane-policy.ts";
import { policyProblem } from "../../policies/problem.ts";
import { startText } from "../../policies/presets.ts";
import type { CatalogueAnswer, PresetTexts } from "../../policies/protocol.ts";
import { MetricTable, shortValue, writeValue } from "../../policies/results.ts";
import type { SlotState } from "../../policies/slot.ts";
import { readPolicy, writePolicy, type PolicyValues } from "../../policies/text.ts";
import { useStore } from "../../state/store.ts";
import type { PolicyIndex } from "../../state/view-state.ts";
import { Chip } from "./chip.tsx";
import { ParameterControl, type PresetTick } from "./parameter-control.tsx";
import { PolicyPicker } from "./policy-picker.tsx";
import { PresetSelect } from "./preset-select.tsx";
import { ClassBars, ResultsTable } from "./results-table.tsx";
import { TimeLines } from "./time-lines.tsx";
import { RowNotes } from "./row-notes.tsx";

interface Props { index: PolicyIndex; text: string; active: boolean; slot: SlotState; described: CatalogueAnswer }

/** One policy: a line where it is not the active one, its parameters and results where it is. */
export function PolicyRow({ index, text, active, slot, described }: Props) {
  const store = useStore();
  const { catalogue } = described;
  const read = useMemo(() => readPolicy(catalogue, text), [catalogue, text]);
  const set = (next: string, gesture?: string): void => store.set(({ policies }) => ({ policies: withPolicy(policies, index, next), activePolicy: index }), gesture === undefined ? {} : { gesture });
  return (
    <section className="policy-row" data-active={active} aria-label={`Policy ${LETTERS[index]}`}>
      <header>
        <button type="button" className="plain chip-button" onClick={() => store.set({ activePolicy: index })} aria-pressed={active} title={`Policy ${LETTERS[index]}, Shift+${index + 1}`}><Chip index={index} /></button>
        {active ? (
          <PolicyPicker catalogue={catalogue} current={read?.policy.id ?? ""} onPick={({ id }) => set(startText(described, id))}>
            <b>{read?.policy.id ?? text}</b> <span aria-hidden="true">▾</span>
          </PolicyPicker>
        ) : <button type="button" className="plain picker-button" onClick={() => store.set({ activePolicy: index })} title={`${text}\nUnfold`}><b>{read?.policy.id ?? text}</b></button>}
        <span className="spacer" />
        {!active && <Summary slot={slot} described={described} />}
        <button type="button" className="plain remove" aria-label={`Remove policy ${LETTERS[index]}`} title="Remove" onClick={() => store.set((view) => removePolicy(view, index))}>×</button>
      </header>
      {read === null && slot.error === null && <p className="note danger">This build has no policy “{text}”, or not with these parameters; pick another.</p>}
      {active && read !== null && <Unfolded index={index} read={read} text={text} slot={slot} described={described} onChange={set} />}
      {slot.error !== null && <SlotProblem error={slot.error} />}
    </section>
  );
}

function Unfolded({ index, read, text, slot, described, onChange }: {
  index: number; read: PolicyValues; text: string; slot: SlotState; described: CatalogueAnswer; onChange: (text: string, gesture?: string) => void;
}) {
  const { policy, values } = read;
  const presets = described.presets[policy.id] ?? [];
  const own = presets.find(({ published }) => published.text === text);
  return (
    <div className="unfolded">
      <p className="caption" title={policy.source}>{policy.doc}</p>
      <p className="labels">{fairnessLabels(policy).map(({ text: label, title, warn }) => <span key={label} className={warn === true ? "tag warn" : "tag"} title={title}>{label}</span>)}</p>
      {presets.length > 0 && <PresetSelect presets={presets} text={text} promptTokens={described.promptTokens} onPick={onChange} />}
      <div className="parameters">
        {policy.parameters.map((parameter, i) => (
          <ParameterControl
            key={parameter.name} parameter={parameter} value={values[i] as number}
            ticks={ticksOf(presets, i)}
            onChange={(value, dragging) => onChange(writePolicy({ policy, values: values.map((old, j) => (j === i ? value : old)) }), dragging ? `policy.${index}.${parameter.name}` : undefined)}
          />
        ))}
      </div>
      <ResultsTable slot={slot} catalogue={described.catalogue} />
      <TimeLines slot={slot} text={text} />
      {slot.error === null && <RowNotes slot={slot} catalogue={described.catalogue} scaledHint={own !== undefined && own.scaled !== null && own.scaled.text !== text} />}
      <ClassBars slot={slot} catalogue={described.catalogue} />
    </div>
  );
}

function ticksOf(presets: readonly PresetTexts[], parameter: number): PresetTick[] {
  const ticks: PresetTick[] = [];
  for (const { name, published, scaled } of presets) {
    ticks.push({ value: published.values[parameter] as number, title: `${name}, published` });
    if (scaled !== null) ticks.push({ value: scaled.values[parameter] as number, title: `${name}, scaled` });
  }
  return ticks;
}

/** The two numbers that matter, for rows that are folded. */
function Summary({ slot, described }: { slot: SlotState; described: CatalogueAnswer }) {
  const table = useMemo(() => new MetricTable(described.catalogue.metrics), [described]);
  const { answer, fresh } = slot;
  if (answer === null) return null;
  const read = (name: string): number => table.value(answer.metrics, name);
  const work = read("kernel_sparsity");
  return (
    <span className="summary num" data-stale={!fresh}>
      <span title={table.spec("recall_mean")?.doc}>recall {shortValue(read("recall_mean"), "share")}</span>
      {Number.isNaN(work)
        ? <span title={table.spec("kept_share")?.doc}>keys {writeValue(read("kept_share"), "percent")}</span>
        : <span title={table.spec("kernel_sparsity")?.doc}>work {writeValue(1 - work, "percent")}</span>}
    </span>
  );
}

function SlotProblem({ error }: { error: unknown }) {
  const { code, text } = policyProblem(error);
  return <p className="note danger" role="alert" data-testid="policy-problem">{text} <code>{code}</code></p>;
}
