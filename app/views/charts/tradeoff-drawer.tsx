import { useCallback, useEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { usePane } from "../../figure/pane.ts";
import { problemOf } from "../../lib/problem.ts";
import { useSize } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import type { PolicyClient } from "../../policies/client.ts";
import { withPolicy } from "../../policies/change.ts";
import { usePolicies, useSlots } from "../../policies/context.tsx";
import type { CatalogueAnswer } from "../../policies/protocol.ts";
import { MetricTable } from "../../policies/results.ts";
import { chartTime, useTimer } from "../../policies/times.tsx";
import { useStore, useView } from "../../state/store.ts";
import type { PolicyIndex } from "../../state/view-state.ts";
import { Mark } from "../shell/mark.tsx";
import { ProblemPanel } from "../shell/problem-panel.tsx";
import { CostControl, LossControl } from "./chart-controls.tsx";
import { drawHovered } from "./draw-hovered.ts";
import { drawTradeoff, familyTitle, PANEL_WIDTH, pointNear, type NearPoint, type TradeoffPicture } from "./draw-tradeoff.ts";
import { PointReadout } from "./point-readout.tsx";
import { TimeNote } from "./time-note.tsx";
import { tradeoffCsv } from "./tradeoff-csv.ts";
import { buildPanel, type Panel } from "./tradeoff-model.ts";
import { waitFor } from "./wait-for.ts";
import { usePaths } from "./use-paths.ts";
import "./charts.css";

/** What the shown head loses against what that costs, for each policy as its main parameter moves. */
export function TradeoffDrawer({ capture }: { capture: Capture }) {
  const { client, catalogue } = usePolicies();
  const none = useView((view) => view.policies.every((text) => text === ""));
  if (catalogue.state === "failed") return <ProblemPanel error={catalogue.error} />;
  if (none) return <p className="drawer-note quiet">No policy is chosen. Pick one on the right (O): its path, the oracle's and random's appear here.</p>;
  if (client === null || catalogue.value === null) return <p className="drawer-note quiet">Loading the policies</p>;
  return <Tradeoff client={client} described={catalogue.value} capture={capture} />;
}

function Tradeoff({ client, described, capture }: { client: PolicyClient; described: CatalogueAnswer; capture: Capture }) {
  const store = useStore();
  const palette = usePalette();
  const slots = useSlots();
  const { catalogue } = described;
  const table = useMemo(() => new MetricTable(catalogue.metrics), [catalogue]);
  const plan = usePaths(client, described, table, capture.totalTokens);
  const policies = useView((view) => view.policies), active = useView((view) => view.activePolicy), layer = useView((view) => view.layer), head = useView((view) => view.head);
  const loss = useView((view) => view.chartLoss), cost = useView((view) => view.chartCost);
  const timer = useTimer();
  const area = useRef<HTMLDivElement>(null);
  const size = useSize(area);
  const panels = useMemo<Panel[]>(() => {
    // At the recall stage the error is still of the setting before: that mark waits, dimmed, where it was.
    const now = slots.map(({ answer, complete, fresh }) => {
      const shown = loss === "error" && answer?.stage === "recall" ? complete : answer;
      return { metrics: shown?.metrics, fresh: fresh && shown === answer };
    });
    return plan.families.map((family) => buildPanel(family, {
      catalogue, table, policies, loss, cost, now, ...(timer === null ? {} : { time: (policy: string, metrics: Float64Array) => chartTime(timer, family.family, policy, metrics) }),
    }));
  }, [plan, catalogue, table, policies, loss, cost, slots, timer]);
  const width = size === null ? 0 : Math.max(size.width, panels.length * PANEL_WIDTH), height = size?.height ?? 0;
  const picture = useMemo<TradeoffPicture>(() => ({ palette, panels, active, width, height }), [palette, panels, active, width, height]);
  const draw = useCallback((g: SVGGElement) => drawTradeoff(g, picture), [picture]);
  // An export waits for points that are still to come, and then takes what is on screen.
  const still = plan.complete && slots.every(({ request, fresh, answer }) => request === null || (fresh && answer?.stage !== "recall"));
  const latest = useRef({ picture, still });
  useEffect(() => { latest.current = { picture, still }; });

  // Panels that do not all fit: the active policy's is in sight.
  const shownPanel = panels.findIndex(({ series }) => series.some(({ index }) => index === active));
  useEffect(() => {
    if (area.current !== null && shownPanel >= 0) area.current.scrollLeft = (shownPanel * width) / panels.length;
  }, [shownPanel, width, panels.length]);

  const [hovered, setHovered] = useState<Pointed | null>(null);
  const near = useMemo(() => findPoint(panels, hovered), [panels, hovered]);
  const drawNear = useCallback((g: SVGGElement) => drawHovered(g, picture, near), [picture, near]);
  const path = panels.flatMap((panel) => panel.series.map((series) => ({ panel, series }))).find(({ series }) => series.index === active);

  usePane({
    id: "tradeoff", title: "Trade-off of policies",
    toFigure: async () => {
      await waitFor(() => latest.current.still);
      const shown = latest.current.picture;
      return {
        width: shown.width, height: shown.height, theme: shown.palette.name, draw: (g) => drawTradeoff(g, shown),
        title: `Layer ${layer}, head ${head}: ${shown.panels.map((panel) => `${panel.loss.title} against ${panel.cost.title}`).join("; ")}`,
      };
    },
    toCsv: async () => {
      await waitFor(() => latest.current.still);
      return tradeoffCsv(latest.current.picture.panels);
    },
  });

  const choose = (found: NearPoint | null): void => {
    if (found === null || found.series.index < 0) return;
    const { series, point } = found;
    store.set((view) => ({ policies: withPolicy(view.policies, series.index, point.policy), activePolicy: series.index as PolicyIndex }));
  };
  const at = (event: PointerEvent | React.MouseEvent): NearPoint | null => {
    const box = event.currentTarget.getBoundingClientRect();
    return pointNear(picture, event.clientX - box.left, event.clientY - box.top);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const points = path?.series.points ?? [];
    if (event.key === "Enter") { event.preventDefault(); choose(near); return; }
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined || path === undefined || points.length === 0) return;
    event.preventDefault();
    event.stopPropagation();
    const from = near?.series.id === path.series.id ? points.indexOf(near.point) : by > 0 ? -1 : points.length;
    setHovered({ family: path.panel.family, series: path.series.id, index: Math.min(points.length - 1, Math.max(0, from + by)) });
  };
  const present = panels.flatMap((panel) => panel.present.map((item) => ({ panel, ...item }))).find(({ index }) => index === active);
  const problem = panels.find(({ error }) => error !== null)?.error ?? null;
  return (
    <div className="chart-drawer">
      <div className="chart-area" ref={area}>
        {width > 0 && (
          <svg
            width={width} height={height} role="application" tabIndex={0} data-testid="tradeoff" data-hand={near !== null && near.series.index >= 0}
            aria-label={`Trade-off of ${panels.map(familyTitle).join(", ")} policies. Left and right arrow go along the active path, Enter sets the slider there.`}
            onPointerMove={(event) => {
              const found = at(event);
              setHovered(found === null ? null : { family: found.panel.family, series: found.series.id, index: found.series.points.indexOf(found.point) });
            }}
            onPointerLeave={() => setHovered(null)} onClick={(event) => choose(at(event))} onKeyDown={onKeyDown} onBlur={() => setHovered(null)}
          >
            <Mark draw={draw} />
            <Mark draw={drawNear} />
          </svg>
        )}
      </div>
      <aside className="chart-side" aria-label="Chart settings and values">
        <LossControl />
        <CostControl />
        {cost === "time" && <TimeNote timer={timer} policies={policies} metrics={slots.map(({ answer }) => answer?.metrics)} />}
        {problem !== null ? <p className="danger" role="alert">{problemOf(problem).sentence} {problemOf(problem).next}</p>
          : near !== null ? <PointReadout panel={near.panel} index={near.series.index} point={near.point} table={table} present={false} />
            : present !== undefined && <PointReadout panel={present.panel} index={present.index} point={present.point} table={table} present />}
      </aside>
    </div>
  );
}

interface Pointed { family: string; series: string; index: number }

/** By place in its series, because a point under the pointer stays there while the path is computed again. */
function findPoint(panels: readonly Panel[], wanted: Pointed | null): NearPoint | null {
  const panel = panels.find(({ family }) => family === wanted?.family), series = panel?.series.find(({ id }) => id === wanted?.series);
  const point = series?.points[wanted?.index ?? -1];
  return panel === undefined || series === undefined || point === undefined ? null : { panel, series, point };
}
