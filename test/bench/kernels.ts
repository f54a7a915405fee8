import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import path from "node:path";
import { loadEngine } from "../../native/bind/node/loader.ts";
import type { NodeEngine } from "../../native/engine.ts";
import type { TimingRow } from "../../data/format/timings.ts";
import { readTimingsBundle } from "../../capture/timing/bundle.ts";
import { formatMicroseconds } from "../../capture/timing/report.ts";
import { rowsOf } from "../../capture/timing/rows.ts";

const SHAPES = "8/2x64,8/2x128";
const LENGTHS = "1K,2K,4K";
const CELL_SECONDS = "4";

/**
 * The CPU kernels over PyTorch's and NumPy's on the same cores, one after the other in one run: float32, causal, grouped heads, the
 * cache overwritten before every repetition, medians. ATTNSCOPE_PYTHON names a Python that has them.
 */
export async function benchKernels(): Promise<void> {
  const engine = await loadEngine(), threads = availableParallelism();
  console.log(`CPU kernels: f32, ${threads} threads, medians of up to 30 repetitions; load average ${loadavg()[0]!.toFixed(1)} before (measured)`);
  const ours = await measureOurs(engine, threads);
  const peers = measurePeers(engine, threads);
  if (typeof peers === "string") console.log(`PyTorch SDPA and NumPy: not run, ${peers}`);
  console.log("kernel                tokens   heads       attnscope      p10-p90                   against                            its time      p10-p90                   attnscope is faster by");
  for (const row of ours) {
    const mine = `${row.op.padEnd(20)} ${String(row.tokens).padStart(7)}   ${shape(row).padEnd(9)} ${time(row)}`;
    const others = typeof peers === "string" ? [] : peers.filter((peer) => peer.op === row.op && peer.tokens === row.tokens && shape(peer) === shape(row));
    if (others.length === 0) console.log(mine);
    for (const peer of others) console.log(`${mine}   ${peer.source.padEnd(32)} ${time(peer)}   ${(peer.medianUs / row.medianUs).toFixed(2)}x`);
  }
}

const shape = ({ heads, kvHeads, headDim }: TimingRow): string => `${heads}/${kvHeads}x${headDim}`;
const time = ({ medianUs, p10Us, p90Us }: TimingRow): string => `${formatMicroseconds(medianUs).padStart(12)}  ${`(${formatMicroseconds(p10Us)} - ${formatMicroseconds(p90Us)})`.padEnd(24)}`;

async function measureOurs(engine: NodeEngine, threads: number): Promise<TimingRow[]> {
  const rows: TimingRow[] = [];
  const texts = { preset: "cpu", threads: String(threads), heads: SHAPES, lengths: LENGTHS, ops: "dense,decode", batching: "batched", "cell-seconds": CELL_SECONDS, warmups: "3" };
  await engine.time({ options: Object.entries(texts).map(([name, value]) => ({ name, value })), synthetic: true, captured: [] }, {
    measured(columns) { rows.push(...rowsOf(columns, columns[0]?.data.length ?? 0)); },
    progress() {},
  }).done;
  return rows;
}

/** Their rows, or why there are none. */
function measurePeers(engine: NodeEngine, threads: number): TimingRow[] | string {
  const python = process.env.ATTNSCOPE_PYTHON;
  if (python === undefined) return "ATTNSCOPE_PYTHON names no Python";
  const folder = mkdtempSync(path.join(tmpdir(), "attnscope-bench-"));
  try {
    const { status, stderr } = spawnSync(python, ["scripts/peers.py", "--out", path.join(folder, "peers"), "--heads", SHAPES, "--lengths", LENGTHS, "--sources", "sdpa,numpy", "--threads", String(threads), "--cell-seconds", CELL_SECONDS], { encoding: "utf8", maxBuffer: 1 << 26 });
    if (status !== 0) return `${python} failed: ${stderr.trim().split("\n").at(-1) ?? ""}`;
    return readTimingsBundle(path.join(folder, "peers"), engine).rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
