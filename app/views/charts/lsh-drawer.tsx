import { useCallback, useEffect, useMemo, useRef } from "react";
import { usePane } from "../../figure/pane.ts";
import { problemOf } from "../../lib/problem.ts";
import { useAsync } from "../../lib/use-async.ts";
import { useSize } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { usePolicies, useSlots } from "../../policies/context.tsx";
import { LETTERS } from "../../policies/pane-policy.ts";
import type { CatalogueAnswer } from "../../policies/protocol.ts";
import type { PolicyClient } from "../../policies/client.ts";
import { kindOf, MetricTable, writeValue } from "../../policies/results.ts";
import { useLatest } from "../../policies/use-latest.ts";
import { useView } from "../../state/store.ts";
import { Chip } from "../policies/chip.tsx";
import { Mark } from "../shell/mark.tsx";
import { ProblemPanel } from "../shell/problem-panel.tsx";
import { drawCosines, drawShares, type CosinePicture, type SharePicture } from "./draw-lsh.ts";
import { chooseLsh, COSINE_BINS, cosinesCsv, sharesCsv, type LshChoice, type ShareRow, type Tables } from "./lsh-model.ts";
import { waitFor } from "./wait-for.ts";
import "./charts.css";

/** Angles between queries and centred keys: the one thing that decides what hash tables read. */
export function LshDrawer() {
  const { client, catalogue } = usePolicies();
  const policies = useView((view) => view.policies), active = useView((view) => view.activePolicy);
  const described = catalogue.value;
  const choice = useMemo(() => (described === null ? null : chooseLsh(described, policies, active)), [described, policies, active]);
  if (catalogue.state === "failed") return <ProblemPanel error={catalogue.error} />;
  if (client === null || described === null) return <p className="drawer-note quiet">Loading the policies</p>;
  if (choice === null) return <p className="drawer-note quiet">This build has no policy with hash tables.</p>;
  return <Lsh client={client} described={described} choice={choice} />;
}

function Lsh({ client, described, choice }: { client: PolicyClient; described: CatalogueAnswer; choice: LshChoice }) {
  const palette = usePalette();
  const slots = useSlots();
  const table = useMemo(() => new MetricTable(described.catalogue.metrics), [described]);
  const layer = useView((view) => view.layer), head = useView((view) => view.head), context = useView((view) => view.context);
  const area = useRef<HTMLDivElement>(null);
  const size = useSize(area);
  const { tables, presets, index } = choice;
  const ask = (of: Tables, signal: AbortSignal) => client.cosines({ layer, head, context, bins: COSINE_BINS, K: of.K, L: of.L, sink: of.sink, local: of.local }, signal);
  const group = `${layer}.${head}.${context ?? ""}.${tables.sink}.${tables.local}`;
  const own = useLatest((signal) => ask(tables, signal), `${group}.${tables.K}.${tables.L}`, group);
  // The published settings on the same keys: what they would read here.
  const others = useAsync(async (signal) => {
    const shares: number[] = [];
    for (const preset of presets) shares.push((await ask({ ...preset, sink: tables.sink, local: tables.local }, signal)).histogram.expectedShare);
    return shares;
  }, [client, group, presets.map(({ name }) => name).join()]);
  const slot = index < 0 ? undefined : slots[index];
  const read = table.value(slot?.answer?.metrics, "kept_share"), keys = table.value(slot?.answer?.metrics, "read_keys");
  const shares = useMemo<ShareRow[]>(() => [
    { name: `${index < 0 ? "" : `${LETTERS[index]}: `}K ${tables.K}, L ${tables.L}`, detail: choice.text, predicted: own.value?.histogram.expectedShare ?? Number.NaN, read: slot?.fresh === true ? read : Number.NaN, own: true },
    ...presets.map((preset, i) => ({ name: `K ${preset.K}, L ${preset.L}`, detail: preset.name, predicted: others.value?.[i] ?? Number.NaN, read: Number.NaN, own: false })),
  ], [tables, presets, own.value, others.value, read, slot?.fresh, index, choice.text]);
  const width = size?.width ?? 0, height = size?.height ?? 0, shareWidth = Math.round(Math.min(460, Math.max(248, width * 0.5)));
  const histogram = own.value?.histogram, rows = own.value?.rows;
  const cosine = useMemo<CosinePicture | null>(() => (histogram === undefined || rows === undefined || width === 0 ? null : { palette, histogram, rows, width: width - shareWidth, height }), [palette, histogram, rows, width, shareWidth, height]);
  const share = useMemo<SharePicture>(() => ({ palette, shares, own: palette.policies[index] ?? palette.text, width: shareWidth, height }), [palette, shares, index, shareWidth, height]);
  const drawLeft = useCallback((g: SVGGElement) => { if (cosine !== null) drawCosines(g, cosine); }, [cosine]);
  const drawRight = useCallback((g: SVGGElement) => drawShares(g, share), [share]);
  const still = own.fresh && others.state === "ready" && (slot === undefined || slot.request === null || slot.fresh);
  const latest = useRef({ still, cosine, share });
  useEffect(() => { latest.current = { still, cosine, share }; });
  const complete = async (): Promise<{ cosine: CosinePicture | null; share: SharePicture }> => {
    await waitFor(() => latest.current.still);
    return latest.current;
  };
  usePane({
    id: "lsh-cosines", title: "Centred cosines",
    toFigure: async () => {
      const { cosine: shown } = await complete();
      return { width: width - shareWidth, height, theme: palette.name, title: `Layer ${layer}, head ${head}: cosines of queries and centred keys`, draw: (g) => { if (shown !== null) drawCosines(g, shown); } };
    },
    toCsv: async () => {
      const { cosine: shown } = await complete();
      return shown === null ? "" : cosinesCsv(layer, head, shown.histogram, shown.rows);
    },
  });
  usePane({
    id: "lsh-shares", title: "Predicted shares of hash tables",
    toFigure: async () => {
      const { share: shown } = await complete();
      return { width: shareWidth, height, theme: palette.name, title: `Layer ${layer}, head ${head}: share of keys that hash tables sample`, draw: (g) => drawShares(g, shown) };
    },
    toCsv: async () => sharesCsv(layer, head, (await complete()).share.shares),
  });
  return (
    <div className="chart-drawer" data-testid="lsh">
      <div className="chart-area pair" ref={area} data-stale={!own.fresh}>
        {cosine !== null && <svg width={cosine.width} height={height} role="img" aria-label={`Cosines of queries and centred keys: mean ${cosine.histogram.mean.toFixed(3)}, standard deviation ${cosine.histogram.deviation.toFixed(3)}`}><Mark draw={drawLeft} /></svg>}
        {width > 0 && <svg width={shareWidth} height={height} role="img" aria-label="Share of keys by setting of the tables"><Mark draw={drawRight} /></svg>}
      </div>
      <aside className="chart-side" aria-label="Tables and values">
        <p className="config">{index >= 0 && <Chip index={index} />} <code>{choice.text}</code></p>
        {index < 0 && <p className="caption">No chosen policy has hash tables: the published default stands in. Add magicpig to see what it really reads.</p>}
        <table><tbody>
          <tr title="Mean of the closed form of being sampled over these cosines"><th scope="row">predicted share</th><td><b>{writeValue(own.value?.histogram.expectedShare ?? Number.NaN, "percent")}</b></td><td className="kind">modelled</td></tr>
          {index >= 0 && <tr title={table.spec("read_keys")?.doc} data-metric="read_keys"><th scope="row">keys read a step</th><td><b>{writeValue(keys, "tokens")}</b></td><td className="kind">{kindOf(table.spec("read_keys"), slot?.answer?.rows)}</td></tr>}
          {index >= 0 && <tr title={table.spec("kept_share")?.doc}><th scope="row">of those visible</th><td><b>{writeValue(read, "percent")}</b></td><td className="kind">{kindOf(table.spec("kept_share"), slot?.answer?.rows)}</td></tr>}
          <tr title="Of the cosines of this head; published shares fit the line N(0, 0.11)"><th scope="row">cosine sd</th><td><b>{histogram === undefined ? "–" : histogram.deviation.toFixed(3)}</b></td><td className="kind">{rows !== undefined && rows.count === rows.of ? "exact" : "sampled"}</td></tr>
        </tbody></table>
        {own.error !== null && <p className="danger" role="alert">{problemOf(own.error).sentence} {problemOf(own.error).next}</p>}
        {rows !== undefined && <p className="caption">{rows.text}. Predicted: of hashed keys. Read: with sinks, window and decoded keys, which are always read.</p>}
      </aside>
    </div>
  );
}
