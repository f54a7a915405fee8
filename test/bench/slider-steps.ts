import type { CoreEngine, HeadReplay, ReplayOptions, ReplayParts } from "../../native/engine.ts";
import { CONTEXT, loadBenchHead, TOKENS } from "./sweep-head.ts";
import type { BenchHead } from "./sweep-head.ts";

export interface Spread { p50: number; p95: number }
/** Milliseconds over the steps of one slider. */
export interface SliderTimes {
  policy: string; parameter: string; steps: number;
  /** The first run of the policy on the head: what it remembers between runs is made here. In no percentile. */
  first: number;
  /** Policy and recall; of it the sums over the strip; with the mask of the visible tile; with every metric, without mask. */
  recall: Spread; sums: Spread; mask: Spread; all: Spread;
  /** Of the slider's ends: it must have moved something. */
  recallFrom: number; recallTo: number;
}
export interface SliderRun { stripSeconds: { prompt: number; later: number }; times: SliderTimes[] }

interface Slider { id: string; parameter: string; fixed: string; values: number[] }

const STEPS = 30;
const ratios = (from: number, to: number): number[] => [...new Set(Array.from({ length: STEPS }, (_, i) => Math.round(from * (to / from) ** (i / (STEPS - 1)))))];
const even = (from: number, to: number): number[] => Array.from({ length: STEPS }, (_, i) => from + ((to - from) * i) / (STEPS - 1));

/** Fixed values are the published ones, token counts scaled to 32K where they belong to 128K. */
const SLIDERS: { prompt: Slider[]; later: Slider[] } = {
  prompt: [
    { id: "vertical-slash", parameter: "v", fixed: "s=1524", values: ratios(30, 8000) },
    { id: "vertical-slash", parameter: "s", fixed: "v=250", values: ratios(60, 8000) },
    { id: "a-shape", parameter: "n_local", fixed: "n_init=128", values: ratios(64, 16_384) },
    { id: "block-sparse", parameter: "top_k", fixed: "", values: ratios(10, 400) },
  ],
  later: [
    { id: "lagkv-official", parameter: "ratio", fixed: "lag=1024", values: even(0.03, 0.97) },
    { id: "streaming-llm", parameter: "recent", fixed: "", values: ratios(64, 16_384) },
    { id: "magicpig-authors", parameter: "L", fixed: "dense_layers=none", values: even(10, 300).map(Math.round) },
    { id: "magicpig-authors", parameter: "K", fixed: "dense_layers=none", values: [5, 6, 7, 8, 9, 10, 11, 12, 13, 14] },
    { id: "topk-exact", parameter: "k", fixed: "", values: ratios(16, 8192) },
  ],
};

const RECALL: ReplayParts = { recall: true, error: false, detail: false };
const ALL: ReplayParts = { recall: true, error: true, detail: true };
/** The whole map in one tile of 256 x 256 cells. */
const GRID = { edge: 256, cell: TOKENS / 256, row0: 0, column0: 0 };

/** Milliseconds since some moment. */
export type Clock = () => number;

/** Every slider moved through its values in a fixed shuffled order, so that no step is helped by its neighbour. */
export function moveSliders(engine: CoreEngine, data: BenchHead, clock: Clock): SliderRun {
  const milliseconds = timer(clock);
  const recallAt = engine.describePolicies().metrics.findIndex(({ name }) => name === "recall_mean");
  const stripSeconds = { prompt: 0, later: 0 }, times: SliderTimes[] = [];
  for (const family of ["prompt", "later"] as const) {
    const head = loadBenchHead(engine, data, family === "prompt" ? data.promptRows : data.laterRows);
    try {
      stripSeconds[family] = milliseconds(() => { while (head.strip(32) > 0); }) / 1000;
      for (const slider of SLIDERS[family]) times.push(moveSlider(head, slider, recallAt, milliseconds));
    } finally {
      head.free();
    }
  }
  return { stripSeconds, times };
}

function moveSlider(head: HeadReplay, { id, parameter, fixed, values }: Slider, recallAt: number, milliseconds: Timer): SliderTimes {
  const options = (parts: ReplayParts): ReplayOptions => ({ schedule: { context: CONTEXT, chunk: 0, firstChunk: 0 }, parts });
  const text = (value: number): string => `${id}:${fixed}${fixed === "" ? "" : ","}${parameter}=${value}`;
  const first = milliseconds(() => head.run(text(values[Math.floor(values.length / 2)]!), options(RECALL)));
  const seen = new Map<number, number>(), recall: number[] = [], sums: number[] = [], mask: number[] = [], all: number[] = [];
  const stride = coprime(values.length);
  values.forEach((_, i) => {
    const value = values[(i * stride) % values.length]!;
    const run = milliseconds(() => seen.set(value, head.run(text(value), options(RECALL)).metrics[recallAt]!));
    const tile = milliseconds(() => head.mask(GRID));
    sums.push(milliseconds(() => head.complete(RECALL))); // recall is there already: only the sums are made again
    const rest = milliseconds(() => head.complete(ALL));
    recall.push(run);
    mask.push(run + tile);
    all.push(run + rest);
  });
  return {
    policy: id, parameter, steps: values.length, first, recall: spread(recall), sums: spread(sums), mask: spread(mask), all: spread(all),
    recallFrom: seen.get(values[0]!)!, recallTo: seen.get(values.at(-1)!)!,
  };
}

const coprime = (n: number): number => [7, 11, 13].find((stride) => n % stride !== 0) ?? 1;

type Timer = (work: () => unknown) => number;

const timer = (clock: Clock): Timer => (work) => {
  const start = clock();
  work();
  return clock() - start;
};

/** Nearest rank. */
function spread(values: number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
  return { p50: at(0.5), p95: at(0.95) };
}
