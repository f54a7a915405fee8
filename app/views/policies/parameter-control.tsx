import { useState, type KeyboardEvent } from "react";
import type { PolicyParameter } from "../../../native/engine.ts";
import { sliderShare, sliderValue } from "../../policies/scale.ts";
import { fitValue } from "../../policies/text.ts";
import { count } from "../../lib/format.ts";

export interface PresetTick { value: number; title: string }

interface Props {
  parameter: PolicyParameter;
  value: number;
  ticks: readonly PresetTick[];
  /** `dragging`: more of the same gesture may follow. */
  onChange: (value: number, dragging: boolean) => void;
}

/** One parameter as its schema asks: slider and number, select, or checkbox. */
export function ParameterControl(props: Props) {
  const { parameter, value, onChange } = props;
  if (parameter.type === "flag") {
    return (
      <label className="parameter flag" title={parameter.doc}>
        <input type="checkbox" checked={value !== 0} onChange={(event) => onChange(event.target.checked ? 1 : 0, false)} />
        <span>{parameter.name}</span><span className="doc">{parameter.doc}</span>
      </label>
    );
  }
  if (parameter.type === "choice") {
    return (
      <label className="parameter choice-parameter" title={parameter.doc}>
        <span>{parameter.name}</span>
        <select value={value} onChange={(event) => onChange(Number(event.target.value), false)}>
          {parameter.choices.map((choice, i) => <option key={choice} value={i}>{choice}</option>)}
        </select>
        <Reset {...props} />
      </label>
    );
  }
  return parameter.name === "seed" ? <NumberOnly {...props} /> : <Slider {...props} />;
}

/** Positions on a slider; finer than its pixels. */
const STEPS = 1000;

function Slider(props: Props) {
  const { parameter, value, ticks, onChange } = props;
  const share = sliderShare(parameter, value);
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    onChange(stepped(parameter, value, by), true);
  };
  return (
    <div className="parameter" title={parameter.doc}>
      <span className="name">{parameter.name}</span>
      <span className="track">
        {ticks.map((tick) => <i key={tick.title} title={tick.title} style={{ left: `${100 * sliderShare(parameter, tick.value)}%` }} />)}
        <input
          type="range" min={0} max={STEPS} step="any" value={share * STEPS} aria-label={parameter.doc} aria-valuetext={`${count(value)} ${parameter.unit}`}
          style={{ "--share": `${100 * share}%` } as React.CSSProperties}
          onChange={(event) => onChange(fitValue(parameter, sliderValue(parameter, event.target.valueAsNumber / STEPS)), true)} onKeyDown={onKeyDown}
        />
      </span>
      <NumberField {...props} />
      <span className="unit">{unitText(parameter.unit)}</span>
      <Reset {...props} />
    </div>
  );
}

function NumberOnly(props: Props) {
  return (
    <div className="parameter" title={props.parameter.doc}>
      <span className="name">{props.parameter.name}</span>
      <span className="doc">{props.parameter.doc}</span>
      <NumberField {...props} /><span className="unit">{unitText(props.parameter.unit)}</span><Reset {...props} />
    </div>
  );
}

/** Takes effect while it is typed as far as it is a value the policy takes. */
function NumberField({ parameter, value, onChange }: Props) {
  const [draft, setDraft] = useState<string | null>(null);
  const { minimum, maximum, type } = parameter;
  const wrong = draft !== null && !accepts(parameter, Number(draft === "" ? Number.NaN : draft));
  return (
    <input
      type="number" value={draft ?? String(value)} min={minimum} max={maximum} step={type === "integer" ? 1 : "any"} aria-invalid={wrong} aria-label={parameter.name}
      title={`${count(minimum)} to ${count(maximum)} ${parameter.unit}`}
      onChange={(event) => {
        setDraft(event.target.value);
        const typed = event.target.valueAsNumber;
        if (accepts(parameter, typed)) onChange(typed, true);
      }}
      onBlur={() => setDraft(null)}
    />
  );
}

function Reset({ parameter, value, onChange }: Props) {
  const changed = value !== parameter.fallback;
  return (
    <button
      type="button" className="plain reset" disabled={!changed} aria-label={`Reset ${parameter.name}`}
      title={`Published default: ${parameter.type === "choice" ? parameter.choices[parameter.fallback] ?? "" : count(parameter.fallback)} ${parameter.unit}`} onClick={() => onChange(parameter.fallback, false)}
    >
      {changed ? "↺" : ""}
    </button>
  );
}

const accepts = ({ minimum, maximum, type }: PolicyParameter, value: number): boolean =>
  Number.isFinite(value) && value >= minimum && value <= maximum && (type !== "integer" || Number.isInteger(value));

const unitText = (unit: string): string => (unit === "tokens" ? "tok" : unit === "share of 1" ? "" : unit);

/** A key press: one unit of a short range, a twentieth of the value where the range moves in ratios, a hundredth of the rest. */
export function stepped(parameter: PolicyParameter, value: number, by: number): number {
  const { type, logarithmic, minimum, maximum } = parameter;
  const step = logarithmic ? Math.abs(value) / 20 : (maximum - minimum) / 100;
  return fitValue(parameter, value + by * (type === "integer" ? Math.max(1, Math.round(step)) : Math.max(step, (maximum - minimum) / 1e6)));
}
