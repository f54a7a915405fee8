import { csvRow } from "../../lib/format.ts";
import { LETTERS } from "../../policies/pane-policy.ts";
import type { ChartPoint, Panel } from "./tradeoff-model.ts";

/** Every point that is drawn, once, with what it rests on. */
export function tradeoffCsv(panels: readonly Panel[]): string {
  const rows: string[] = [csvRow(["family", "series", "role", "policy", "place", "cost_metric", "cost", "loss_metric", "loss", "loss_standard_error", "on_front", "rows_evaluated", "rows_of", "evaluation", "cost_kind", "cost_relative_error"])];
  for (const panel of panels) {
    const line = (series: string, role: string, point: ChartPoint): void => void rows.push(csvRow([
      panel.family, series, role, point.policy, point.note, panel.cost.column, point.x, panel.loss.column, point.y, point.error,
      panel.front.some(({ x, y, policy }) => x === point.x && y === point.y && policy === point.policy) && role !== "present" ? 1 : 0,
      panel.rows?.count ?? Number.NaN, panel.rows?.of ?? Number.NaN, "teacher-forced", point.time?.kind ?? "", point.time?.error ?? Number.NaN,
    ]));
    for (const series of panel.series) for (const point of series.points) line(series.index < 0 ? series.kind : LETTERS[series.index] as string, series.kind, point);
    for (const { index, point } of panel.present) line(LETTERS[index] as string, "present", point);
  }
  return rows.join("");
}
