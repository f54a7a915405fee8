import { createContext, useContext, useMemo, type ReactNode } from "react";
import type { Capture } from "../../data/reader/capture-types.ts";
import type { PolicyDescriptor, TimeKind } from "../../native/engine.ts";
import { useTimings } from "../timings/context.tsx";
import type { TimedDevice } from "../timings/devices.ts";
import { worseKind } from "../timings/predict.ts";
import { useView } from "../state/store.ts";
import { usePolicies } from "./context.tsx";
import { timesOf } from "./policy-times.ts";

/** A phase and its time, of the whole model. */
export interface TimePart { name: string; us: number; kind: TimeKind; /** Relative; NaN where there is none. */ error: number; note: string }
export interface TimeSum { us: number; kind: TimeKind; error: number; parts: readonly TimePart[] }

/** What a policy takes: over the prompt, building what it needs after it, and for a step. Null: it does nothing then, or has no time. */
export interface PolicyTimes {
  prefill: TimeSum | null; build: TimeSum | null; step: TimeSum | null;
  /** Kernels that the device has no timing of: "lagkv score". */
  missing: readonly string[];
  /** What no kernel times. */
  untimed: string;
}

/** Answers for the chosen device and the open capture's model. */
export interface Timer {
  device: TimedDevice | null;
  devices: readonly TimedDevice[];
  /** Null until tables and engine are there. */
  of: ((policy: string, metrics: Float64Array) => PolicyTimes) | null;
}

const TimerContext = createContext<Timer | null>(null);

/** Null where nothing shows times. */
export const useTimer = (): Timer | null => useContext(TimerContext);

/** Gives times to everything that shows policies; tables and engine are read when the first of it is on screen. */
export function TimesProvider({ capture, children }: { capture: Capture; children: ReactNode }) {
  const needed = useView((view) => view.policies.some((text) => text !== "") && (view.policyPanel || view.drawer !== "closed"));
  const { devices, device, engine } = useTimings(needed);
  const { catalogue } = usePolicies();
  const described = catalogue.value?.catalogue ?? null;
  const timer = useMemo<Timer>(() => ({
    device, devices,
    of: device === null || engine === null || described === null ? null : timesOf({ engine, device, catalogue: described, capture }),
  }), [devices, device, engine, described, capture]);
  return <TimerContext value={timer}>{children}</TimerContext>;
}

/** Times of one after the other: errors weighted by time, the kind of the least certain. */
export function addTimes(times: readonly Omit<TimeSum, "parts">[]): Omit<TimeSum, "parts"> {
  const us = times.reduce((sum, time) => sum + time.us, 0);
  const known = times.filter(({ error }) => Number.isFinite(error));
  return {
    us, kind: times.map(({ kind }) => kind).reduce(worseKind),
    error: known.length === 0 ? Number.NaN : known.reduce((sum, time) => sum + time.error * time.us, 0) / us,
  };
}

/** What a chart of a family has along: the prompt where the family acts on it, else a step. */
export function chartTime({ of }: Timer, family: PolicyDescriptor["family"], policy: string, metrics: Float64Array): Omit<TimeSum, "parts"> | null {
  const times = of?.(policy, metrics);
  return times === undefined || times.missing.length > 0 ? null : family === "prefill" ? times.prefill : times.step;
}
