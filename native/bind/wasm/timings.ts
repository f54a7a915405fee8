import type { KernelCounts, KernelShape, KernelWork, TimePrediction, TimingCurve, TimingPoints } from "../../engine.ts";
import { checkLengths, packPoints, packShape, unpackCounts, unpackCurve, unpackPrediction, unpackWork } from "../timing.ts";
import type { Answers } from "./answers.ts";
import type { CoreExports, LinearMemory } from "./memory.ts";

export function timingCurve(core: CoreExports, memory: LinearMemory, answers: Answers, points: TimingPoints): TimingCurve {
  return answers.guarded(() => memory.scope((copy) =>
    core.timing_curve(copy(packPoints(points)), points.work.length) ? unpackCurve(answers.column(0, Float64Array)) : answers.failure()));
}

export function timingPredict(core: CoreExports, memory: LinearMemory, answers: Answers, points: TimingPoints, work: number, columnWork: number): TimePrediction {
  return answers.guarded(() => memory.scope((copy) =>
    core.timing_predict(copy(packPoints(points)), points.work.length, work, columnWork) ? unpackPrediction(answers.column(0, Float64Array)) : answers.failure()));
}

export function timingAtLength(core: CoreExports, memory: LinearMemory, answers: Answers, points: TimingPoints, lengths: Float64Array, tokens: number): TimePrediction {
  checkLengths(points, lengths);
  return answers.guarded(() => memory.scope((copy) =>
    core.timing_at_length(copy(packPoints(points)), copy(lengths), lengths.length, tokens) ? unpackPrediction(answers.column(0, Float64Array)) : answers.failure()));
}

export function kernelCounts(core: CoreExports, memory: LinearMemory, answers: Answers, policy: string, op: string, tokens: number): KernelCounts {
  return answers.guarded(() => memory.scope((copy) => {
    const [text, name] = [new TextEncoder().encode(policy), new TextEncoder().encode(op)];
    return core.kernel_counts(copy(text), text.length, copy(name), name.length, tokens) ? unpackCounts(answers.column(0, Float64Array)) : answers.failure();
  }));
}

export function kernelWork(core: CoreExports, memory: LinearMemory, answers: Answers, shape: KernelShape): KernelWork {
  return answers.guarded(() => memory.scope((copy) => {
    const [op, phase] = [new TextEncoder().encode(shape.op), new TextEncoder().encode(shape.phase)];
    if (!core.kernel_work(copy(op), op.length, copy(phase), phase.length, copy(packShape(shape)))) return answers.failure();
    return unpackWork(answers.column(0, Float64Array), answers.text(1));
  }));
}
