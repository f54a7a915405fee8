import type { TimingRow } from "../../../data/format/timings.ts";
import { count } from "../../lib/format.ts";
import { bytesText } from "../../policies/results.ts";
import { directionText, type CopyPoint } from "../../timings/copies.ts";
import { shapeOf, shapeText } from "../../timings/selection.ts";
import type { Mark, Series } from "../../timings/series.ts";
import type { SpeedPoint } from "../../timings/speedup.ts";
import type { Segment, Stack, StackRow } from "../../timings/stacks.ts";
import { errorText, percent, rateText, timeText } from "../../timings/text.ts";

/** What the page reads out. */
export type Readable =
  | { of: "mark"; series: Series; mark: Mark }
  | { of: "segment"; row: StackRow; stack: Stack; segment: Segment }
  | { of: "speed"; point: SpeedPoint }
  | { of: "copy"; point: CopyPoint };

type Fact = readonly [name: string, value: string];

/** Everything known of one point, in one place that keeps its size. */
export function TimingReadout({ read }: { read: Readable | null }) {
  return (
    <section className="timing-readout" aria-label="Point" aria-live="polite" data-testid="timing-readout">
      {read === null ? <p className="caption">Point at a mark, or go along a chart with the arrow keys. A click chooses the length.</p>
        : read.of === "mark" ? <MarkFacts series={read.series} mark={read.mark} />
          : read.of === "segment" ? <SegmentFacts {...read} />
            : read.of === "speed" ? <SpeedFacts point={read.point} />
              : <Facts title={directionText(read.point.row)} sub={bytesText(read.point.bytes)} value={rateText(read.point.rate)} kind="measured" facts={[...statistics([read.point.row]), ...origin(read.point.row)]} note={read.point.row.note} />}
    </section>
  );
}

function MarkFacts({ series, mark }: { series: Series; mark: Mark }) {
  const [first] = mark.rows as readonly [TimingRow];
  const neighbours = around(series, mark.tokens);
  return (
    <Facts
      title={series.title} sub={`${count(mark.tokens)} tokens`} value={timeText(mark.us)} kind={mark.rows.length > 1 ? `measured, ${mark.rows.length} phases added` : "measured"}
      facts={[
        ...(mark.rows.length > 1 ? mark.rows.map((row): Fact => [row.phase, timeText(row.medianUs)]) : []),
        ...statistics(mark.rows),
        ["leave-one-out", Number.isFinite(mark.error) ? errorText(mark.error) : "none: end of its curve"],
        ["neighbours", neighbours === "" ? "none" : neighbours],
        ...work(mark.rows.find(({ phase }) => phase === "attention") ?? first), ...origin(first),
      ]}
      note={mark.rows.map(({ note }) => note).filter((note, i, all) => note !== "" && all.indexOf(note) === i).join("; ")}
    />
  );
}

function SegmentFacts({ row, stack, segment }: { row: StackRow; stack: Stack; segment: Segment }) {
  const measured = row.series.rows.get(segment.phase)?.find(({ tokens }) => tokens === segment.below && segment.kind === "measured" && stack.batching === "batched");
  const lengths = [segment.below, segment.above].map((tokens) => (tokens === null ? "none" : count(tokens))).join(" and ");
  return (
    <Facts
      title={row.series.title} sub={`${segment.phase}, ${stack.batching}`} value={timeText(segment.us)} kind={segment.kind}
      facts={[
        ["of all phases", `${percent(segment.us / stack.us)} of ${timeText(stack.us)}`],
        ...(segment.kind === "measured" ? [] : [["error", errorText(segment.error)] as const, ["between", lengths] as const]),
        ...(measured === undefined ? [] : [...statistics([measured]), ...origin(measured)]),
      ]}
      note={measured?.note ?? ""}
    />
  );
}

function SpeedFacts({ point: { series, mark, sparsity, speedup, low, high, kind } }: { point: SpeedPoint }) {
  const ideal = 1 / (1 - sparsity);
  return (
    <Facts
      title={series.title} sub={`${count(mark.tokens)} tokens`} value={`${speedup.toPrecision(3)}×`} kind={kind === "measured" ? "measured over measured" : `dense ${kind}`}
      facts={[
        ["p90 to p10", `${low.toPrecision(3)}× to ${high.toPrecision(3)}×${added(mark.rows)}`], ["sparsity", percent(sparsity)], ["ideal", `${ideal.toPrecision(3)}×, modelled`], ["of the ideal", percent(speedup / ideal)],
        ["time", timeText(mark.us)], ...mark.rows.length > 1 ? mark.rows.map((row): Fact => [row.phase, timeText(row.medianUs)]) : [], ...statistics(mark.rows).slice(0, 1),
      ]}
      note=""
    />
  );
}

/** Lengths on either side on its own line. */
function around({ marks }: Series, tokens: number): string {
  const at = marks.findIndex((mark) => mark.tokens === tokens);
  return [marks[at - 1], marks[at + 1]].filter((mark) => mark !== undefined).map((mark) => `${count(mark.tokens)} (${timeText(mark.us)})`).join(", ");
}

/** Percentiles of phases that were measured one by one, added, are none of their total. */
const added = (rows: readonly TimingRow[]): string => (rows.length > 1 ? " of phases, added" : "");

function statistics(rows: readonly TimingRow[]): Fact[] {
  const sum = (of: (row: TimingRow) => number): number => rows.reduce((total, row) => total + of(row), 0);
  const same = (of: (row: TimingRow) => number): string => [...new Set(rows.map(of))].map((value) => count(value)).join(", ");
  const [first] = rows as readonly [TimingRow];
  const clock = rows.map(({ clockMhz }) => clockMhz).filter((mhz) => Number.isFinite(mhz));
  return [
    ["p10–p90", `${timeText(sum(({ p10Us }) => p10Us))} – ${timeText(sum(({ p90Us }) => p90Us))}${added(rows)}`],
    ["least", `${timeText(sum(({ minUs }) => minUs))}${added(rows)}`],
    ["count", `${same(({ count: of }) => of)} after ${same(({ warmups }) => warmups)} warm-up`],
    ["cache", first.flushed ? "flushed before each" : "left warm"],
    ["clock", clock.length === 0 ? "not known" : `${count(Math.round(Math.min(...clock)))} MHz`],
  ];
}

/** What column_work counts, by operation; a unit of it costs another time than a unit of work. */
const BESIDE: Readonly<Record<string, string>> = { "vertical-slash": "column tiles", "block-sparse": "column tiles", "decode-list": "keys loaded" };

function work({ op, work: units, columnWork, workUnit, sparsity, bytes, flops, medianUs }: TimingRow): Fact[] {
  return [
    ["work", `${count(Math.round(units))} ${workUnit}`],
    ...(columnWork > 0 ? [["beside it", `${count(Math.round(columnWork))} ${BESIDE[op] ?? "of columns"}`] as const] : []),
    ...(Number.isFinite(sparsity) ? [["sparsity", percent(sparsity)] as const] : []),
    ...(Number.isFinite(flops) && flops > 0 ? [["rate", `${(flops / medianUs / 1e3).toPrecision(3)} GFLOP/s`] as const] : Number.isFinite(bytes) && bytes > 0 ? [["rate", rateText(bytes / medianUs / 1000)] as const] : []),
  ];
}

function origin(row: TimingRow): Fact[] {
  return [
    ["shape", `${shapeText(shapeOf(row))}, ${row.dtype}, ${row.batching}`], ["threads", row.threads === 0 ? "GPU" : String(row.threads)],
    ["source", row.source], ["date", row.date.slice(0, 16).replace("T", " ")],
  ];
}

function Facts({ title, sub, value, kind, facts, note }: { title: string; sub: string; value: string; kind: string; facts: readonly Fact[]; note: string }) {
  return (
    <>
      <h3>{title}</h3>
      <p className="value-line num"><b>{value}</b> <span className="kind">{kind}</span><span className="spacer" /><span>{sub}</span></p>
      <dl className="num">{facts.map(([name, text]) => <div key={name}><dt>{name}</dt><dd title={text}>{text}</dd></div>)}</dl>
      {note !== "" && <p className="caption">{note}</p>}
    </>
  );
}
