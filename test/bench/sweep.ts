import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import path from "node:path";
import { loadEngine } from "../../native/bind/node/loader.ts";
import type { NodeEngine } from "../../native/engine.ts";
import { benchHead, CONTEXT, DIM, loadBenchHead, SHAPE, TOKENS } from "./sweep-head.ts";
import type { BenchHead } from "./sweep-head.ts";

interface Point { id: string; values: Record<string, number> }
/** Wall-clock seconds, and seconds all its threads held a core: other work on the machine lengthens those little. */
interface Times { seconds: number; processor: number }
interface Reference extends Times { recall: number[]; error: number[] }
interface Answer { numpy: string; recompute: Reference; shared: Reference }

const POINTS = 24;
const ratios = (from: number, to: number): number[] => Array.from({ length: POINTS }, (_, i) => Math.round(from * (to / from) ** (i / (POINTS - 1))));

/** Policies whose masks NumPy makes without a loop over rows; published defaults beside the parameter that moves. */
const SWEEPS: { family: "prompt" | "later"; points: Point[] }[] = [
  { family: "prompt", points: ratios(64, 16_384).map((n_local) => ({ id: "a-shape", values: { n_init: 128, n_local } })) },
  { family: "prompt", points: ratios(10, 400).map((top_k) => ({ id: "block-sparse", values: { top_k } })) },
  { family: "later", points: ratios(64, 16_384).map((recent) => ({ id: "streaming-llm", values: { sink: 4, recent } })) },
  { family: "later", points: ratios(16, 8192).map((k) => ({ id: "topk-exact", values: { k } })) },
];

/**
 * A sweep through the add-on, every metric of every point, over NumPy computing recall and output error of the same
 * points on the same cores. Targets: >= 10x where P is made again at each point, >= 3x where it is shared; recall equal to 1e-5.
 */
export async function benchSweep(): Promise<void> {
  const threads = availableParallelism(), engine = await loadEngine(), data = benchHead();
  const python = process.env.ATTNSCOPE_PYTHON ?? "python3";
  const found = spawnSync(python, ["-c", "import numpy"], { encoding: "utf8" }).status === 0;
  console.log(`sweep through the add-on: one head, 32,768 tokens, head_dim 128, 256 rows, ${POINTS} points each, ${threads} threads, all metrics, strip included; load average ${loadavg()[0]!.toFixed(1)} before (measured)`);
  if (!found) console.log(`NumPy reference: not run, ${python} has no numpy (ATTNSCOPE_PYTHON names another)`);
  console.log("wall-clock / processor seconds; ratios of both, to strip and sweep together");
  console.log("policy          of it strip   strip + sweep   NumPy, P each point   ratio (target 10)   NumPy, P shared   ratio (target 3)   recall differs by (limit 1e-5)   error by");
  for (const { family, points } of SWEEPS) {
    const rows = family === "prompt" ? data.promptRows : data.laterRows;
    const ours = await sweepOnce(engine, data, rows, points, threads);
    const reference = found ? runReference(python, data, rows, points, threads) : undefined;
    const cells = [points[0]!.id.padEnd(14), ours.stripSeconds.toFixed(2).padStart(12), pair(ours).padStart(15)];
    if (reference === undefined) cells.push("not run".padStart(21));
    else {
      const largest = (of: "recall" | "error"): number => Math.max(...[reference.recompute, reference.shared].flatMap((each) => each[of].map((x, i) => Math.abs(x - ours[of][i]!))));
      const ratio = (other: Times): string => pair({ seconds: other.seconds / ours.seconds, processor: other.processor / ours.processor });
      const recall = largest("recall"), agrees = recall <= 1e-5;
      cells.push(
        pair(reference.recompute).padStart(21), ratio(reference.recompute).padStart(19), pair(reference.shared).padStart(17), ratio(reference.shared).padStart(18),
        `${recall.toExponential(1)}${agrees ? "" : " DIFFERS"}`.padStart(32), largest("error").toExponential(1).padStart(10),
      );
      if (!agrees) process.exitCode = 1;
    }
    console.log(cells.join(" "));
  }
}

const pair = ({ seconds, processor }: Times): string => `${seconds.toFixed(2)} / ${processor.toFixed(2)}`;

interface Ours extends Times { stripSeconds: number; recall: number[]; error: number[] }

async function sweepOnce(engine: NodeEngine, data: BenchHead, rows: Uint32Array, points: Point[], threads: number): Promise<Ours> {
  const { metrics } = engine.describePolicies();
  const head = loadBenchHead(engine, data, rows);
  try {
    const start = performance.now(), busy = process.cpuUsage();
    await head.stripAll();
    const stripSeconds = (performance.now() - start) / 1000;
    const schedule = { context: CONTEXT, chunk: 0, firstChunk: 0 };
    const texts = points.map(({ id, values }) => `${id}:${Object.entries(values).map(([name, value]) => `${name}=${value}`).join(",")}`);
    const { mean } = await head.sweep(texts.map((policy) => ({ policy, schedule, seeds: 1 })), threads);
    const seconds = (performance.now() - start) / 1000, { user, system } = process.cpuUsage(busy);
    const pick = (name: string): number[] => points.map((_, i) => mean[i * metrics.length + metrics.findIndex((m) => m.name === name)]!);
    return { stripSeconds, seconds, processor: (user + system) / 1e6, recall: pick("recall_mean"), error: pick("error_mean") };
  } finally {
    head.free();
  }
}

function runReference(python: string, data: BenchHead, rows: Uint32Array, points: Point[], threads: number): Answer {
  const folder = mkdtempSync(path.join(tmpdir(), "attnscope-bench-"));
  try {
    const at = Array.from(rows, (row) => data.positions.indexOf(row));
    const queries = new Float32Array(rows.length * DIM);
    at.forEach((from, r) => queries.set(data.queries.subarray(from * DIM, (from + 1) * DIM), r * DIM));
    const columns = { keys: data.keys, values: data.values, queries, lse: Float32Array.from(at, (i) => data.lse[i]!), rows, pooled: data.pooled };
    for (const [name, column] of Object.entries(columns)) writeFileSync(path.join(folder, `${name}.bin`), column);
    writeFileSync(path.join(folder, "head.json"), JSON.stringify({ tokens: TOKENS, dim: DIM, context: CONTEXT, scale: SHAPE.scale, points }));
    const { status, stdout, stderr } = spawnSync(python, ["test/bench/numpy_sweep.py", folder, String(threads)], { encoding: "utf8", maxBuffer: 1 << 26 });
    if (status !== 0) throw new Error(`the NumPy reference failed: ${stderr}`);
    return JSON.parse(stdout) as Answer;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
