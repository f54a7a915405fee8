import { peaksOf } from "../data/hardware.ts";
import type { Hardware } from "../data/hardware.ts";
import type { TimingRow } from "../data/format/timings.ts";
import type { CoreEngine, KernelShape, ParsedPolicy, PolicyCatalogue, PolicyDescriptor, PolicyKernel } from "../native/engine.ts";
import { addTimes } from "./add-times.ts";
import type { Time } from "./add-times.ts";
import { chooseCurve } from "./timing-curves.ts";
import type { Curve, HeadShape } from "./timing-curves.ts";

export type TimeEngine = Pick<CoreEngine, "timingPredict" | "kernelWork" | "kernelCounts" | "workRatio" | "compiledDim" | "roofline" | "parsePolicy">;

/** What times are taken from. */
export interface TimeSource {
  engine: TimeEngine;
  catalogue: PolicyCatalogue;
  /** timingCurves() of the tables. */
  curves: readonly Curve[];
  device: string;
  driver?: string;
  /** Whose kernels: "attnscope 0.1.0". */
  source: string;
  dtype: TimingRow["dtype"];
  threads?: number;
  /** The device's peaks, for kernels that were not measured on it at all; null where they are not known. */
  hardware: Hardware | null;
}

/** Of the model; times are those of `layers` layers, all taken to be like the one the metrics are of. */
export interface ModelShape extends HeadShape { layers: number }
/** Tokens of the prompt that the metrics are of, and tokens decoded after it: a step is that at their middle. */
export interface TimeRequest { prompt: number; generated: number }

/** One kernel. error: relative, NaN where it has none (modelled, or a curve too short). */
export interface TimePart extends Time { op: string; phase: string; name: string; note: string }
/** Kernels one after the other, as addTimes adds them. */
export interface TimeSum extends Time { parts: readonly TimePart[]; /** false: a kernel that belongs to it is in `missing`. */ complete: boolean }

export interface PolicyTimes {
  /** Over the prompt, once after it, and of a decode step; null where the policy launches nothing then, or nothing that has a time. */
  prefill: TimeSum | null; build: TimeSum | null; step: TimeSum | null;
  /** Kernels without a time, as "simhash sort": the device has neither a measurement nor peaks, or nobody counted the work. */
  missing: readonly string[];
  /** What the policy does besides, for which there is no kernel; empty where nothing. */
  untimed: string;
}

/**
 * What a policy takes on a device, kernel by kernel. `heads`: metrics of every head of a layer, or of one that stands for all,
 * in the order of the catalogue.
 */
export function policyTime(from: TimeSource, policy: string | ParsedPolicy, model: ModelShape, heads: readonly Float64Array[], request: TimeRequest): PolicyTimes {
  const parsed = typeof policy === "string" ? from.engine.parsePolicy(policy) : policy;
  const descriptor = from.catalogue.policies.find(({ id }) => id === parsed.id) as PolicyDescriptor;
  const shapeOf = shapes(from, descriptor, parsed, model, heads, request);
  const missing: string[] = [];
  const sum = (when: PolicyKernel["when"]): TimeSum | null => {
    const kernels = descriptor.kernels.filter((kernel) => kernel.when === when);
    const parts = kernels.flatMap(({ op, phase }) => {
      const shape = shapeOf(op, phase), part = shape === null ? null : partOf(from, shape, model);
      if (part === null) missing.push(`${op} ${phase}`);
      return part ?? [];
    });
    return parts.length === 0 ? null : { ...addTimes(parts), parts, complete: parts.length === kernels.length };
  };
  return { prefill: sum("prefill"), build: sum("build"), step: sum("step"), missing, untimed: descriptor.untimed };
}

/**
 * What each kernel of the policy is asked to do in one layer; null where the metrics do not say. Metrics and the engine's counts are
 * only put where a kernel takes them; what work they make is the engine's to say.
 */
function shapes(
  { engine, catalogue, dtype }: TimeSource, descriptor: PolicyDescriptor, { text }: ParsedPolicy, model: ModelShape, heads: readonly Float64Array[], { prompt, generated }: TimeRequest,
): (op: string, phase: string) => KernelShape | null {
  const mean = (metric: string): number => {
    const at = catalogue.metrics.findIndex(({ name }) => name === metric);
    return heads.reduce((sum, head) => sum + (head[at] ?? Number.NaN), 0) / heads.length;
  };
  const tiles = model.heads * mean("kernel_tiles"), columnTiles = model.heads * mean("kernel_column_tiles");
  const plain = { heads: model.heads, kvHeads: model.kvHeads, headDim: model.headDim, bytesPerElement: dtype === "f32" ? 4 : 2, tiles: 0, columnTiles: 0, keys: 0, columns: 0, distances: 0, topK: 0 };
  const fill: Readonly<Record<string, () => Partial<KernelShape>>> = {
    "a-shape": () => ({ tiles }),
    "vertical-slash": () => ({ tiles, columnTiles }),
    "block-sparse": () => ({ tiles, columnTiles }),
    // Steps differ in length by what is decoded; keys a step of its middle reads.
    decode: () => ({ tokens: prompt + Math.round(generated / 2), queries: 1 }),
    "decode-list": () => ({
      tokens: prompt + Math.round(generated / 2), queries: 1, keys: mean(descriptor.family === "retention" ? "mean_resident" : "read_keys"),
      columns: descriptor.unit === "query head" ? model.heads : model.kvHeads,
    }),
  };
  return (op, phase) => {
    const shape: KernelShape = { op, phase, tokens: prompt, queries: op === "lagkv" || op === "simhash" ? 0 : prompt, ...plain, ...engine.kernelCounts(text, op, prompt), ...fill[op]?.() };
    // Selection needs no tiles; what does, is not timed without them.
    if (phase === "estimate" || phase === "select") Object.assign(shape, { tiles: 0, columnTiles: 0 });
    return Object.values(shape).some((value) => Number.isNaN(value)) ? null : shape;
  };
}

/** The kernel's time in all layers; null where there is nothing to tell it from. */
function partOf(from: TimeSource, shape: KernelShape, model: ModelShape): TimePart | null {
  const { op, phase } = shape;
  const one = measured(from, shape) ?? bound(from, shape);
  return one === null ? null : { op, phase, name: `${op} ${phase}`, ...one, us: one.us * model.layers };
}

type OneTime = Pick<TimePart, "us" | "kind" | "error" | "note">;

function measured({ engine, curves, device, driver, source, dtype, threads }: TimeSource, shape: KernelShape): OneTime | null {
  const chosen = chooseCurve(curves, {
    device, source, op: shape.op, phase: shape.phase, heads: shape.heads, kvHeads: shape.kvHeads, headDim: shape.headDim, compiledDim: engine.compiledDim(shape.headDim), dtype,
    ...(driver === undefined ? {} : { driver }), ...(threads === undefined ? {} : { threads }),
  });
  const own = chosen?.curve.rows[0];
  if (!chosen || !own) return null;
  if (chosen.exact) {
    const work = engine.kernelWork(shape), { us, kind, error } = engine.timingPredict(chosen.curve.points, work.work, work.columnWork);
    return { us, kind, error, note: "" };
  }
  // The same work by heads of the curve's own size, then as much more or less as these heads multiply or move.
  const like: KernelShape = {
    ...shape, headDim: own.headDim, bytesPerElement: own.dtype === "f32" ? 4 : 2, kvHeads: Math.max(1, Math.round((shape.heads * own.kvHeads) / own.heads)),
    ...(shape.op === "decode-list" ? { columns: shape.columns === shape.heads ? shape.heads : 0 } : {}),
  };
  const known = engine.kernelWork(like), ratio = engine.workRatio(known, engine.kernelWork(shape));
  return { us: engine.timingPredict(chosen.curve.points, known.work, known.columnWork).us * ratio, kind: "modelled", error: Number.NaN, note: chosen.note };
}

/** The least the device's peaks allow, where it has no measurement of the kernel. */
function bound({ engine, hardware, dtype }: TimeSource, shape: KernelShape): OneTime | null {
  if (hardware === null) return null;
  const { flops, bytesPerSecond } = peaksOf(hardware, dtype);
  const us = engine.roofline(engine.kernelWork(shape), flops, bytesPerSecond);
  return Number.isNaN(us) ? null : { us, kind: "modelled", error: Number.NaN, note: "lower bound from the device's peaks" };
}
