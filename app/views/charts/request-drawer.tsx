import { useCallback, useEffect, useMemo, useRef } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import type { PolicyTimes } from "../../../replay/policy-time.ts";
import { usePane } from "../../figure/pane.ts";
import { count } from "../../lib/format.ts";
import { problemOf } from "../../lib/problem.ts";
import { useSize } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import type { PolicyClient } from "../../policies/client.ts";
import { usePolicies, useSlots } from "../../policies/context.tsx";
import { requestOf } from "../../policies/pane-policy.ts";
import type { CatalogueAnswer, FateAnswer } from "../../policies/protocol.ts";
import { MetricTable, writeValue } from "../../policies/results.ts";
import { requestKey } from "../../policies/slot.ts";
import { readPolicy } from "../../policies/text.ts";
import { useTimer } from "../../policies/times.tsx";
import { useLatest, type Latest } from "../../policies/use-latest.ts";
import { useGrids } from "../../policies/use-model-grid.ts";
import { errorText, KIND_DOC, KIND_SHORT, timeText } from "../../timings/text.ts";
import { useStore, useView } from "../../state/store.ts";
import type { PolicyIndex } from "../../state/view-state.ts";
import { Chip } from "../policies/chip.tsx";
import { Mark } from "../shell/mark.tsx";
import { ProblemPanel } from "../shell/problem-panel.tsx";
import { Segmented } from "../shell/segmented.tsx";
import { drawRequest, type RequestPicture } from "./draw-request.ts";
import { TimeNote } from "./time-note.tsx";
import { denseBytes, errorFrom, peakBytes, requestCsv, requestTime, type RequestPoint, type RequestShape, type RequestTime } from "./request-model.ts";
import { waitFor } from "./wait-for.ts";
import "./charts.css";

/** The same request under each policy: the most KV it ever holds, and what the answer's rows lose. */
export function RequestDrawer({ capture }: { capture: Capture }) {
  const { client, catalogue } = usePolicies();
  if (catalogue.state === "failed") return <ProblemPanel error={catalogue.error} />;
  if (client === null || catalogue.value === null) return <p className="drawer-note quiet">Loading the policies</p>;
  return <Request client={client} described={catalogue.value} capture={capture} />;
}

const MOST_GENERATED = 1_048_576;

function Request({ client, described, capture }: { client: PolicyClient; described: CatalogueAnswer; capture: Capture }) {
  const store = useStore();
  const palette = usePalette();
  const active = useView((view) => view.activePolicy), generated = useView((view) => view.generated), layer = useView((view) => view.layer), head = useView((view) => view.head);
  const context = useView((view) => view.context) ?? described.defaultContext;
  const cost = useView((view) => view.requestCost), timer = useTimer();
  const policies = useView((view) => view.policies), slots = useSlots();
  const { model, settings } = capture.manifest;
  const shape = useMemo<RequestShape>(() => ({
    layers: model.layers, heads: model.heads, kvHeads: model.kvHeads, headDim: model.headDim, bytesPerElement: settings.vectors === "f32" ? 4 : 2,
    prompt: capture.promptTokens, captured: capture.totalTokens - capture.promptTokens, context, generated,
  }), [model, settings, capture, context, generated]);
  const { points, problem, waiting } = useRequestPoints(client, described, shape);
  const area = useRef<HTMLDivElement>(null);
  const size = useSize(area);
  const width = size?.width ?? 0, height = size?.height ?? 0;
  const picture = useMemo<RequestPicture>(() => ({ palette, points, cost, shape, active, width, height }), [palette, points, cost, shape, active, width, height]);
  const draw = useCallback((g: SVGGElement) => drawRequest(g, picture), [picture]);
  const still = waiting === "" && points.every(({ fresh }) => fresh);
  const latest = useRef({ picture, still });
  useEffect(() => { latest.current = { picture, still }; });
  usePane({
    id: "request", title: "Request: peak KV, or time, against error",
    toFigure: async () => {
      await waitFor(() => latest.current.still);
      const shown = latest.current.picture;
      return { width, height, theme: palette.name, title: `Layer ${layer}, head ${head}: output error against ${cost === "time" ? "the time" : "peak KV bytes"} of a request`, draw: (g) => drawRequest(g, shown) };
    },
    toCsv: async () => {
      await waitFor(() => latest.current.still);
      return requestCsv(latest.current.picture.points, latest.current.picture.shape);
    },
  });
  return (
    <div className="chart-drawer">
      <div className="chart-area" ref={area}>
        {width > 0 && <svg width={width} height={height} role="img" data-testid="request" aria-label={`Output error of this head against ${cost === "time" ? "the time of the request" : "peak KV bytes of the model"}, a mark for each policy`}><Mark draw={draw} /></svg>}
      </div>
      <aside className="chart-side" aria-label="Request and values">
        <label className="field">
          <span className="num wide-label">{count(shape.prompt)} prompt +</span>
          <input
            type="number" min={0} max={MOST_GENERATED} value={generated} aria-label="Generated tokens"
            onChange={(event) => {
              const value = event.target.valueAsNumber;
              if (Number.isInteger(value) && value >= 0 && value <= MOST_GENERATED) store.set({ generated: value }, { gesture: "generated" });
            }}
          />
          <span className="quiet">generated</span>
        </label>
        <Segmented
          label="Cost" value={cost} onChange={(value) => store.set({ requestCost: value })}
          options={[{ value: "bytes", label: "Peak KV", title: "Most bytes of keys and values held at once" }, { value: "time", label: "Time", title: "Prompt and every step, from the chosen device's timings" }]}
        />
        <table className="request-table"><tbody>
          {points.map(({ index, policy, peak, error, time, emulated, fresh }) => (
            <tr key={index} data-stale={!fresh} title={`${policy}: ${peak.from}${emulated ? "; emulated: the published code frees nothing" : ""}; error over ${error.rows} rows`}>
              <th scope="row">{index < 0 ? "dense" : <button type="button" className="plain chip-button" aria-label={`Make ${policy} active`} onClick={() => store.set({ activePolicy: index as PolicyIndex })}><Chip index={index} /></button>}</th>
              {cost === "time" ? <TimeCells time={time} /> : <><td><b>{writeValue(peak.bytes, "bytes")}</b></td><td className="kind">{peak.kind}{emulated ? ", emulated" : ""}</td></>}
              <td><b>{writeValue(error.mean, "share")}</b></td>{cost === "bytes" && <td className="kind">{index < 0 ? "" : `n ${error.rows}`}</td>}
            </tr>
          ))}
        </tbody></table>
        {waiting !== "" && <p className="caption">{waiting}</p>}
        {problem !== null && problem !== undefined && <p className="danger" role="alert">{problemOf(problem).sentence} {problemOf(problem).next}</p>}
        <p className="caption">Error: this head, evaluated rows from token {count(context)} on (n), teacher-forced. Prefill policies leave decode rows alone.</p>
        {cost === "time" && <TimeNote timer={timer} policies={policies} metrics={slots.map(({ answer }) => answer?.metrics)} />}
      </aside>
    </div>
  );
}

const timeOf = (times: PolicyTimes | null, generated: number): { time: RequestTime | null } => ({ time: times === null ? null : requestTime(times, generated) });

function TimeCells({ time }: { time: RequestTime | null | undefined }) {
  if (time == null) return <><td>–</td><td className="kind">{time === null ? "no timing" : ""}</td></>;
  return <><td title={`prompt ${timeText(time.prefillUs)}, a step ${timeText(time.stepUs)}`}><b>{timeText(time.us)}</b></td><td className="kind" title={KIND_DOC[time.kind]}>{KIND_SHORT[time.kind]} {errorText(time.error)}</td></>;
}

function useRowFate(client: PolicyClient, index: PolicyIndex): Latest<FateAnswer> {
  const policies = useView((view) => view.policies), rowsMode = useView((view) => view.rowsMode), context = useView((view) => view.context), chunk = useView((view) => view.chunk);
  const layer = useView((view) => view.layer), head = useView((view) => view.head);
  const request = requestOf({ policies, context, chunk, rowsMode }, index, layer, head);
  return useLatest(request.policy === "" ? null : (signal) => client.fate(request, signal), requestKey(request), `${layer}.${head}.${rowsMode}.${context ?? ""}`);
}

function useRequestPoints(client: PolicyClient, { catalogue }: CatalogueAnswer, shape: RequestShape): { points: RequestPoint[]; problem: unknown; waiting: string } {
  const table = useMemo(() => new MetricTable(catalogue.metrics), [catalogue]);
  const policies = useView((view) => view.policies), context = useView((view) => view.context), chunk = useView((view) => view.chunk);
  const slots = useSlots();
  const timer = useTimer();
  const { grids, version } = useGrids();
  const a = useRowFate(client, 0), b = useRowFate(client, 1), c = useRowFate(client, 2), d = useRowFate(client, 3);
  return useMemo(() => {
    const fates = [a, b, c, d];
    const timed = (policy: string, metrics: Float64Array | undefined): { time?: RequestTime | null } => (timer?.of == null || metrics === undefined ? {} : timeOf(timer.of(policy, metrics), shape.generated));
    const waiting: string[] = [];
    const dense: RequestPoint = {
      index: -1, policy: "dense", family: "", peak: { bytes: denseBytes(shape), kind: "exact", from: "K and V of every token" }, error: { mean: 0, standardError: Number.NaN, rows: 0 }, fresh: true, emulated: false,
      ...timed("dense", new Float64Array(catalogue.metrics.length).fill(Number.NaN)),
    };
    const points = policies.flatMap((text, index): RequestPoint[] => {
      const policy = readPolicy(catalogue, text)?.policy, fate = fates[index] as Latest<FateAnswer>;
      if (policy === undefined) return [];
      if (fate.value === null) {
        if (fate.error === null) waiting.push(`${policy.id}: computing`);
        return [];
      }
      const grid = grids?.get({ policy: text, context, chunk });
      const metrics = (slots[index]?.complete ?? slots[index]?.answer)?.metrics;
      const peak = peakBytes(policy, metrics, grid, table, shape);
      if (peak === null) return [];
      if (policy.frees !== "nothing" && grid?.state === "running") waiting.push(`${policy.id}: ${grid.done} of ${grid.total} heads`);
      return [{ index, policy: text, family: policy.family, peak, error: errorFrom(fate.value.byRow, shape.context, fate.value.rows.count === fate.value.rows.of), fresh: fate.fresh, emulated: policy.frees === "emulated", ...timed(text, metrics) }];
    });
    return { points: [dense, ...points], problem: fates.find(({ error }) => error !== null)?.error ?? null, waiting: waiting.join(", ") };
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- `version` stands for what the grids hold
  }, [a, b, c, d, catalogue, policies, context, chunk, slots, grids, version, table, shape, timer]);
}
