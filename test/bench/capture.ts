import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { loadEngine } from "../../native/bind/node/loader.ts";
import type { CaptureSummary } from "../../native/engine.ts";
import { BENCH_MODEL, benchPlan, writeRandomWeights } from "./random-model.ts";

interface Measured { tokens: number; seconds: Record<string, number>; wall: number; peakMiB: number }

/** Child process: one run, so that peak memory is this run's alone. */
export async function measure(folder: string, tokens: number, reduce: boolean): Promise<Measured> {
  const file = path.join(folder, "model.bin");
  const tensors = JSON.parse(process.env.ATTNSCOPE_BENCH_TENSORS ?? "[]");
  const engine = await loadEngine();
  const plan = benchPlan(file, tensors, BENCH_MODEL, tokens, reduce, availableParallelism());
  const start = performance.now();
  const summary: CaptureSummary = await engine.capture(plan, { batch() {}, layerDone() {}, progress() {} }).done;
  return { tokens, seconds: summary.seconds, wall: (performance.now() - start) / 1000, peakMiB: summary.peakResidentBytes / 2 ** 20 };
}

/**
 * Capture (level replay, columns discarded: no disk) over plain prefill, same engine, same cores; and peak memory by
 * length. Target: <= 1.5x at 8K, memory linear in N.
 */
export async function benchCapture(lengths: number[]): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "attnscope-bench-"));
  try {
    const tensors = await writeRandomWeights(path.join(folder, "model.bin"), BENCH_MODEL);
    const child = (tokens: number, reduce: boolean): Measured => {
      const { stdout, status, stderr } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "measure", folder, String(tokens), String(reduce)], {
        env: { ...process.env, ATTNSCOPE_BENCH_TENSORS: JSON.stringify(tensors) }, encoding: "utf8", maxBuffer: 1 << 26,
      });
      if (status !== 0) throw new Error(`measuring ${tokens} tokens failed: ${stderr}`);
      return JSON.parse(stdout);
    };
    console.log(`capture over plain prefill: ${BENCH_MODEL.layers} layers, ${BENCH_MODEL.heads}/${BENCH_MODEL.kvHeads} heads, head_dim ${BENCH_MODEL.headDim}, random weights, ${availableParallelism()} threads (measured)`);
    console.log("tokens   prefill s   capture s   ratio   peak MiB   MiB per 1K tokens");
    for (const tokens of lengths) {
      const plain = child(tokens, false);
      const full = child(tokens, true);
      const row = [tokens, plain.wall.toFixed(2), full.wall.toFixed(2), (full.wall / plain.wall).toFixed(2), full.peakMiB.toFixed(0), ((full.peakMiB / tokens) * 1000).toFixed(1)];
      console.log(row.map((cell, i) => String(cell).padStart([6, 12, 12, 8, 11, 20][i] ?? 8)).join(""));
      console.log(`       ${Object.entries(full.seconds).map(([phase, s]) => `${phase} ${s.toFixed(2)}`).join("  ")}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
