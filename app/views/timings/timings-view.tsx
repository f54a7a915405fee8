import { useCallback, useMemo, useRef, useState } from "react";
import { useActionContext } from "../../actions/context.ts";
import { useActions } from "../../actions/registry.ts";
import type { PaneSource } from "../../figure/pane.ts";
import { problemOf } from "../../lib/problem.ts";
import { useSize, type Size } from "../../lib/use-size.ts";
import { useStore, useView } from "../../state/store.ts";
import { isMeasured } from "../../timings/devices.ts";
import type { Timings } from "../../timings/context.tsx";
import { timingActions } from "./actions.ts";
import { CurvePanel } from "./curve-panel.tsx";
import type { Readable } from "./readout.tsx";
import { RowsTable } from "./rows-table.tsx";
import { CopyPanel, SpeedPanel, StackPanel } from "./small-panels.tsx";
import { TimingSide } from "./timing-side.tsx";
import { TimingToolbar } from "./timing-toolbar.tsx";
import { useTimingPage, type TimingPage } from "./use-timing-page.ts";
import "./timings.css";

/** What kernels and policies cost for real: measured, and what is read between the measurements. */
export function TimingsView() {
  const { timings, page } = useTimingPage();
  if (page === null) return timings.tables.state === "ready" ? <NoTables timings={timings} /> : <p className="waiting">Reading timings</p>;
  return <Page page={page} />;
}

function Page({ page }: { page: TimingPage }) {
  const view = useView((state) => state.timingView);
  const [read, setRead] = useState<Readable | null>(null);
  const [focus, setFocus] = useState<string | null>(null);
  const { device, choices, selection, lengths, length, timings, canRoof } = page;
  useActions(useMemo(() => timingActions({ devices: timings.devices.map(({ id }) => id), device: device.id, choices, selection, lengths, length, canRoof, focus }), [timings.devices, device.id, choices, selection, lengths, length, canRoof, focus]));
  const { sources, drivers, name, dates } = device;
  const source = useCallback((): PaneSource => ({
    stem: `timings-${device.id}`,
    facts: { device: name, driver: drivers.join("; "), measured: dates[0] === dates[1] ? dates[0] : `${dates[0]} to ${dates[1]}`, sources: sources.join("; "), tables: timings.tables.tables.filter(({ rows }) => rows.some((row) => row.device === name)).map((table) => table.name).join("; ") },
  }), [device.id, name, drivers, dates, sources, timings.tables]);
  return (
    <div className="timings" data-testid="timings">
      <section className="timing-main" aria-label="Timings">
        <TimingToolbar page={page} />
        {timings.engineError !== null && <p className="danger" role="alert">{problemOf(timings.engineError).sentence} {problemOf(timings.engineError).next}</p>}
        {view === "table" && isMeasured(device) ? <RowsTable rows={device.rows} source={source} /> : <Charts page={page} focus={focus} source={source} onRead={setRead} onFocus={setFocus} />}
      </section>
      <TimingSide page={page} read={read ?? atRest(page)} onFocus={setFocus} />
    </div>
  );
}

/** What stands in the readout while nothing is pointed at: the first line at the chosen length. */
function atRest({ lines, length }: TimingPage): Readable | null {
  for (const { series } of lines) {
    const mark = series.marks.find(({ tokens }) => tokens === length);
    if (mark !== undefined) return { of: "mark", series, mark };
  }
  return null;
}

/** Under this the lower charts have no room and the page scrolls. */
const LEAST = { main: 250, lower: 230 };

function Charts({ page, focus, source, onRead, onFocus }: { page: TimingPage; focus: string | null; source: () => PaneSource; onRead: (read: Readable | null) => void; onFocus: (short: string | null) => void }) {
  const area = useRef<HTMLDivElement>(null);
  const size = useSize(area);
  const { stacks, speed, copies, lines, roof } = page;
  const layout = useMemo(() => (size === null ? null : place(size, [stacks.length > 0 ? 1.25 : 0, speed.length > 0 ? 1 : 0, copies.length > 0 ? 0.7 : 0])), [size, stacks.length, speed.length, copies.length]);
  const [stackSize, speedSize, copySize] = layout?.lower ?? [];
  const nothing = lines.length === 0 && roof === null;
  return (
    <div className="timing-charts" ref={area}>
      {layout !== null && (nothing ? <p className="waiting">Every line is hidden; check one on the right.</p>
        : <CurvePanel page={page} size={layout.main} focus={focus} source={source} onRead={onRead} onFocus={onFocus} />)}
      <div className="timing-lower">
        {stackSize != null && <StackPanel page={page} size={stackSize} source={source} onRead={onRead} />}
        {speedSize != null && <SpeedPanel page={page} size={speedSize} source={source} onRead={onRead} />}
        {copySize != null && <CopyPanel page={page} size={copySize} source={source} onRead={onRead} />}
      </div>
    </div>
  );
}

/** The main chart over the lower ones, whose widths are in these proportions; 0: not there. */
function place({ width, height }: Size, weights: readonly number[]): { main: Size; lower: (Size | null)[] } {
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  if (all === 0) return { main: { width, height: Math.max(LEAST.main, height) }, lower: weights.map(() => null) };
  const lower = Math.max(LEAST.lower, Math.round(height * 0.42));
  const gaps = weights.filter((weight) => weight > 0).length - 1;
  return {
    main: { width, height: Math.max(LEAST.main, height - lower - 1) },
    lower: weights.map((weight) => (weight === 0 ? null : { width: Math.floor(((width - gaps) * weight) / all), height: lower })),
  };
}

function NoTables({ timings }: { timings: Timings }) {
  const context = useActionContext();
  const store = useStore();
  const { error } = timings.tables;
  const sheet = timings.devices[0];
  return (
    <div className="start">
      <h1>Timings</h1>
      {error !== null && <p className="danger" role="alert" data-testid="timings-problem">{problemOf(error).sentence} {problemOf(error).next} <code>{problemOf(error).code}</code></p>}
      <p>No table of timings is here. Drop a timings.arrow anywhere on this page, or open one; it is read in this browser.</p>
      <p className="row">
        <button type="button" onClick={context.pickTimings}>Open timings…</button>
        {sheet !== undefined && <button type="button" onClick={() => store.set({ device: sheet.id })}>Bounds of {sheet.name}</button>}
      </p>
      <p className="quiet">To make one: <code>attnscope time --out timings.arrow</code>. Or give its address: <code>?timings=https://host/timings.arrow</code>.</p>
    </div>
  );
}
