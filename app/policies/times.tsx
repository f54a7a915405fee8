import { createContext, useContext, useMemo, type ReactNode } from "react";
import type { TimingRow } from "../../data/format/timings.ts";
import type { Capture } from "../../data/reader/capture-types.ts";
import type { PolicyCatalogue, PolicyDescriptor } from "../../native/engine.ts";
import { NativeError } from "../../native/engine.ts";
import { policyTime, type ModelShape, type PolicyTimes, type TimeRequest, type TimeSource, type TimeSum } from "../../replay/policy-time.ts";
import { timingCurves } from "../../replay/timing-curves.ts";
import { useView } from "../state/store.ts";
import { useTimings } from "../timings/context.tsx";
import { driverOf, isOwn, type TimedDevice } from "../timings/devices.ts";
import type { TimingEngine } from "../timings/engine.ts";
import { usePolicies } from "./context.tsx";

/** Answers for the chosen device and the open capture's model. */
export interface Timer {
  device: TimedDevice | null;
  devices: readonly TimedDevice[];
  /** Type the kernels ran in: the capture's, or where the device has none in it, the device's own. */
  dtype: TimeSource["dtype"];
  /** Times of the whole model, every head as the one the metrics are of; null for a text that is no policy. Null itself until tables and engine are there. */
  of: ((policy: string, metrics: Float64Array) => PolicyTimes | null) | null;
}

const TimerContext = createContext<Timer | null>(null);

/** Null where nothing gives times. */
export const useTimer = (): Timer | null => useContext(TimerContext);

/** Gives times to everything that shows policies; tables and engine are read when the first of it is on screen. */
export function TimesProvider({ capture, children }: { capture: Capture; children: ReactNode }) {
  const needed = useView((view) => view.policies.some((text) => text !== "") && (view.policyPanel || view.drawer !== "closed"));
  const generated = useView((view) => view.generated);
  const { devices, device, engine } = useTimings(needed);
  const { catalogue } = usePolicies();
  const described = catalogue.value?.catalogue ?? null;
  const timer = useMemo<Timer>(() => {
    const dtype = dtypeOf(device, capture.manifest.settings.vectors ?? "f32");
    return {
      device, devices, dtype,
      of: device === null || engine === null || described === null ? null : timesOf(sourceOf(engine, described, device, dtype), capture.manifest.model, { prompt: capture.promptTokens, generated }),
    };
  }, [devices, device, engine, described, capture, generated]);
  return <TimerContext value={timer}>{children}</TimerContext>;
}

/** A processor measures f32 alone, whatever type a capture was stored in. */
function dtypeOf(device: TimedDevice | null, wanted: TimeSource["dtype"]): TimeSource["dtype"] {
  const own = device?.rows.filter(({ source }) => isOwn(source)) ?? [];
  return own.length === 0 || own.some(({ dtype }) => dtype === wanted) ? wanted : (own[0] as TimingRow).dtype;
}

function sourceOf(engine: TimingEngine, catalogue: PolicyCatalogue, device: TimedDevice, dtype: TimeSource["dtype"]): TimeSource {
  const { name, sources, rows, hardware } = device, source = sources.find(isOwn) ?? sources[0] ?? "", driver = driverOf(device, source);
  return { engine, catalogue, curves: timingCurves(rows), device: name, ...(driver === null ? {} : { driver }), source, dtype, hardware };
}

function timesOf(source: TimeSource, model: ModelShape, request: TimeRequest): NonNullable<Timer["of"]> {
  // A slider asks for the same answer in the panel and in both charts.
  const known = new WeakMap<Float64Array, Map<string, PolicyTimes | null>>();
  return (policy, metrics) => {
    const answers = known.get(metrics) ?? new Map<string, PolicyTimes | null>();
    known.set(metrics, answers);
    if (!answers.has(policy)) answers.set(policy, tryTime(source, policy, model, metrics, request));
    return answers.get(policy) ?? null;
  };
}

function tryTime(source: TimeSource, policy: string, { layers, heads, kvHeads, headDim }: ModelShape, metrics: Float64Array, request: TimeRequest): PolicyTimes | null {
  try {
    return policyTime(source, policy, { layers, heads, kvHeads, headDim }, [metrics], request);
  } catch (error) {
    // A link's text that the engine refuses is told of where its results would be.
    if (error instanceof NativeError) return null;
    throw error;
  }
}

/** What a chart of a family has along: the prompt where the family acts on it, else a step. Null where a kernel of it has no time. */
export function chartTime({ of }: Timer, family: PolicyDescriptor["family"], policy: string, metrics: Float64Array): TimeSum | null {
  const times = of?.(policy, metrics) ?? null, sum = family === "prefill" ? times?.prefill : times?.step;
  return sum?.complete === true ? sum : null;
}
