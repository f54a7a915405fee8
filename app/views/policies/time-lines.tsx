import { useState } from "react";
import type { TimePart, TimeSum } from "../../../replay/policy-time.ts";
import { useTimer } from "../../policies/times.tsx";
import type { SlotState } from "../../policies/slot.ts";
import { errorText, KIND_DOC, KIND_SHORT, timeText } from "../../timings/text.ts";

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
        {prefill === null && build === null && step === null && missing.length === 0 ? "No kernel does what this policy does." : `Whole model on ${timer.device.name} in ${timer.dtype}, every head as this one.`}
        {untimed !== "" && ` Not timed: ${untimed}.`}
      </p>
    </>
  );
}

/** Its error, or why it has none; the whole note is in the title. */
const besideText = ({ complete, error }: TimeSum, notes: string): string =>
  [complete ? "" : "in part", errorText(error), Number.isFinite(error) || notes === "" ? "" : notes.startsWith("lower bound") ? "lower bound" : "scaled"].filter((text) => text !== "").join(", ");

function Line({ label, sum, stale }: { label: string; sum: TimeSum; stale: boolean }) {
  const [open, setOpen] = useState(false);
  const notes = [...new Set(sum.parts.map(({ note }) => note).filter((note) => note !== ""))].join("; ");
  const many = sum.parts.length > 1;
  // Phases of one operation by their own names.
  const nameOf = ({ op, phase }: TimePart): string => (sum.parts.every((part) => part.op === op) ? phase : op === phase ? op : `${op} ${phase}`);
  return (
    <>
      <tr data-stale={stale} data-time={label}>
        <th scope="row">{many ? <button type="button" className="plain unfold" aria-expanded={open} onClick={() => setOpen(!open)}>{label} <span aria-hidden="true">{open ? "▾" : "▸"}</span></button> : label}</th>
        <td className="value num">{timeText(sum.us)}</td>
        <td className="beside num" title={notes}>{besideText(sum, notes)}</td>
        <td className="kind" title={KIND_DOC[sum.kind]}>{KIND_SHORT[sum.kind]}</td>
      </tr>
      {open && sum.parts.map((part) => (
        <tr key={part.name} className="phase" data-stale={stale}>
          <th scope="row" title={part.name}>{nameOf(part)}</th><td className="value num">{timeText(part.us)}</td><td className="beside num" title={part.note}>{errorText(part.error)}</td><td className="kind" title={KIND_DOC[part.kind]}>{KIND_SHORT[part.kind]}</td>
        </tr>
      ))}
    </>
  );
}
