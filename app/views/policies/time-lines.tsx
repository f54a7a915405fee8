import { useState } from "react";
import type { TimeKind } from "../../../native/engine.ts";
import type { TimeSum } from "../../../replay/policy-time.ts";
import { useTimer } from "../../policies/times.tsx";
import type { SlotState } from "../../policies/slot.ts";
import { errorText, timeText } from "../../timings/text.ts";

/** Room for eight letters; the title has the word. */
const SHORT: Readonly<Record<TimeKind, string>> = { measured: "measured", interpolated: "interp.", extrapolated: "extrap.", modelled: "modelled" };
const KIND_DOC: Readonly<Record<TimeKind, string>> = {
  measured: "Measured at this very work", interpolated: "Interpolated between measured amounts of work; the error is that of leaving the measurements around it out",
  extrapolated: "Beyond what was measured", modelled: "Scaled from another shape, or a bound from the data sheet",
};

/** What the policy takes on the chosen device, as lines under the results; each opens to its phases. */
export function TimeLines({ slot, text }: { slot: SlotState; text: string }) {
  const timer = useTimer();
  const { answer, fresh } = slot;
  if (timer?.of == null || timer.device === null || answer === null) return null;
  const times = timer.of(text, answer.metrics);
  if (times === null) return null;
  const { prefill, build, step, missing, untimed } = times;
  return (
    <>
      <table className="results time-lines" data-testid="times" data-stale={!fresh}><tbody>
        {prefill !== null && <Line label="Prefill time" sum={prefill} stale={!fresh} />}
        {build !== null && <Line label="Build time" sum={build} stale={!fresh} />}
        {step !== null && <Line label="Step time" sum={step} stale={!fresh} />}
      </tbody></table>
      <p className="caption" data-testid="times-of">
        {missing.length > 0 ? `No timing of ${missing.join(", ")} on this device. ` : ""}
        {prefill === null && build === null && step === null && missing.length === 0 ? "No kernel does what this policy does." : `Whole model on ${timer.device.name}, every head as this one.`}
        {untimed !== "" && ` Not timed: ${untimed}.`}
      </p>
    </>
  );
}

function Line({ label, sum, stale }: { label: string; sum: TimeSum; stale: boolean }) {
  const [open, setOpen] = useState(false);
  const notes = [...new Set(sum.parts.map(({ note }) => note).filter((note) => note !== ""))].join("; ");
  const many = sum.parts.length > 1;
  return (
    <>
      <tr data-stale={stale} data-time={label}>
        <th scope="row">{many ? <button type="button" className="plain unfold" aria-expanded={open} onClick={() => setOpen(!open)}>{label} <span aria-hidden="true">{open ? "▾" : "▸"}</span></button> : label}</th>
        <td className="value num">{timeText(sum.us)}</td>
        <td className="beside num" title={notes}>{sum.complete ? errorText(sum.error) : "in part"}{notes === "" ? "" : ` ${notes}`}</td>
        <td className="kind" title={KIND_DOC[sum.kind]}>{SHORT[sum.kind]}</td>
      </tr>
      {open && sum.parts.map(({ name, us, kind, error, note }) => (
        <tr key={name} className="phase" data-stale={stale}>
          <th scope="row">{name}</th><td className="value num">{timeText(us)}</td><td className="beside num" title={note}>{errorText(error)}</td><td className="kind" title={KIND_DOC[kind]}>{SHORT[kind]}</td>
        </tr>
      ))}
    </>
  );
}
