import { kindOf, writeValue, type MetricTable } from "../../policies/results.ts";
import { LETTERS } from "../../policies/pane-policy.ts";
import { Chip } from "../policies/chip.tsx";
import { errorText, KIND_DOC, KIND_SHORT } from "../../timings/text.ts";
import { TIME, type Measure } from "./measures.ts";
import type { ChartPoint, Panel } from "./tradeoff-model.ts";

/** The configuration of a point and its numbers, each with its kind. Keeps its height whatever it shows. */
export function PointReadout({ panel, index, point, table, present }: { panel: Panel; index: number; point: ChartPoint; table: MetricTable; present: boolean }) {
  const { time } = point;
  const row = (measure: Measure, value: number, error: number) => (
    <tr key={measure.metric}>
      <th scope="row" title={`${measure.title}. ${table.spec(measure.metric)?.doc ?? ""}`}>{measure.short}</th>
      <td className="num"><b>{writeValue(value, measure.style)}</b>{measure.metric === TIME && time !== undefined && Number.isFinite(time.error) && <span title="relative error of interpolation"> {errorText(time.error)}</span>}{Number.isFinite(error) && <span title="standard error over the evaluated rows"> ± {writeValue(error, measure.style)}</span>}</td>
      <td className="kind" title={measure.metric === TIME && time !== undefined ? KIND_DOC[time.kind] : undefined}>{measure.metric === TIME ? time === undefined ? "" : KIND_SHORT[time.kind] : kindOf(table.spec(measure.metric), panel.rows ?? undefined)}</td>
    </tr>
  );
  return (
    <div className="point-readout" data-testid="point-readout">
      <p className="config">{index >= 0 && LETTERS[index] !== undefined && <Chip index={index} />} <code>{point.policy}</code></p>
      <table><tbody>
        {row(panel.cost, point.x, Number.NaN)}
        {row(panel.loss, point.y, point.error)}
      </tbody></table>
      <p className="caption">
        {panel.rows === null ? "" : `Teacher-forced on ${panel.rows.text}.`}
        {point.note !== "" && ` Drawn at ${point.note}.`}
        {!present && index >= 0 && " Click sets the slider."}
      </p>
    </div>
  );
}
