import { createContext, useContext, useEffect, useMemo, useSyncExternalStore } from "react";
import type { TimingRow } from "../../data/format/timings.ts";
import { useAsync } from "../lib/use-async.ts";
import { useView } from "../state/store.ts";
import { deviceOf, devicesOf, type TimedDevice } from "./devices.ts";
import { timingEngine, type TimingEngine } from "./engine.ts";
import { withErrors } from "./errors.ts";
import type { TimingStore, TimingTables } from "./store.ts";

export const TimingContext = createContext<TimingStore | null>(null);

export function useTimingStore(): TimingStore {
  const store = useContext(TimingContext);
  if (store === null) throw new Error("useTimingStore is used outside of TimingContext");
  return store;
}

export interface Timings {
  tables: TimingTables;
  devices: readonly TimedDevice[];
  /** The one the view names, or the first; null where nothing was ever measured. */
  device: TimedDevice | null;
  /** Null until the engine is loaded: measurements are shown without it, what lies between them is not. */
  engine: TimingEngine | null;
  engineError: unknown;
}

const devices = new WeakMap<readonly TimingRow[], readonly TimedDevice[]>();

/** The same for every part of the page that asks: tables change seldom, views often. */
function devicesFor(rows: readonly TimingRow[]): readonly TimedDevice[] {
  const known = devices.get(rows) ?? devicesOf(rows);
  devices.set(rows, known);
  return known;
}

let joined: { of: TimingTables["tables"]; engine: TimingEngine | null; rows: readonly TimingRow[] } = { of: [], engine: null, rows: [] };

function rowsOf({ tables }: TimingTables, engine: TimingEngine | null): readonly TimingRow[] {
  if (joined.of !== tables || joined.engine !== engine) joined = { of: tables, engine, rows: withErrors(tables.flatMap(({ rows }) => rows), engine) };
  return joined.rows;
}

/** All tables with the chosen device; reading them and loading the engine begin with the first who really needs them. */
export function useTimings(needed = true): Timings {
  const store = useTimingStore();
  const tables = useSyncExternalStore(store.subscribe, store.get);
  const wanted = useView((view) => view.device);
  useEffect(() => { if (needed) store.want(); }, [store, needed]);
  const loaded = useAsync(needed ? timingEngine : null, [needed]);
  const engine = loaded.value;
  return useMemo(() => {
    const all = devicesFor(rowsOf(tables, engine));
    return { tables, devices: all, device: deviceOf(all, wanted), engine, engineError: loaded.error };
  }, [tables, engine, wanted, loaded.error]);
}
