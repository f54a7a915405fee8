import type { CoreEngine, DType, TileGrid, TileJob, TileValues, VectorBlock, VectorData } from "../../../native/engine.ts";
import { fromBf16, fromF16 } from "../../data/half.ts";

const at = (dtype: DType, data: VectorData, i: number): number => dtype === "f32" ? data[i]! : dtype === "f16" ? fromF16(data[i]!) : fromBf16(data[i]!);
const visible = (query: number, key: number, window: number): boolean => key <= query && (window === 0 || key > query - window);
const part = (t: TileValues, i: number) => (t.count[i] === 0 ? 0 : t.mean[i]! * t.count[i]!);

const tilesOnly = (): never => { throw new Error("The reference engine computes tiles only."); };

const dot = (a: VectorBlock, i: number, b: VectorBlock, j: number): number => {
  let sum = 0;
  for (let c = 0; c < a.dim; c++) sum += at(a.dtype, a.data, i * a.dim + c) * at(b.dtype, b.data, j * b.dim + c);
  return sum;
};

/** The engine's tile functions in plain fp64, pair by pair: what the viewer's tests compare with. Slow, and only for tests. */
export function referenceEngine(log: { adds: number } = { adds: 0 }): CoreEngine {
  const tile = (grid: TileGrid, scale: number, window: number): TileJob => {
    const n = grid.edge * grid.edge;
    const sum = new Float64Array(n), max = new Float64Array(n), count = new Uint32Array(n);
    return {
      add(queries, keys, lse) {
        log.adds++;
        for (let i = 0; i < queries.count; i++) {
          for (let j = 0; j < keys.count; j++) {
            const query = queries.first + i, key = keys.first + j;
            const r = Math.floor((query - grid.row0) / grid.cell), c = Math.floor((key - grid.column0) / grid.cell);
            if (!visible(query, key, window) || r < 0 || c < 0 || r >= grid.edge || c >= grid.edge) continue;
            const p = Math.exp(dot(queries, i, keys, j) * scale - lse[i]!);
            const index = r * grid.edge + c;
            sum[index]! += p;
            max[index] = Math.max(max[index]!, p);
            count[index]!++;
          }
        }
      },
      finish: () => ({
        mean: Float32Array.from(sum, (s, i) => (count[i] === 0 ? Number.NaN : s / count[i]!)),
        max: Float32Array.from(max, (m, i) => (count[i] === 0 ? Number.NaN : m)), count,
      }),
      free: () => undefined,
    };
  };
  return {
    kind: "wasm", tile,
    mergeTiles(a: TileValues, b: TileValues): TileValues {
      const count = a.count.map((n, i) => n + b.count[i]!);
      return {
        count, mean: a.mean.map((_, i) => (count[i] === 0 ? Number.NaN : (part(a, i) + part(b, i)) / count[i]!)),
        max: a.max.map((_, i) => Math.max(a.count[i] === 0 ? -Infinity : a.max[i]!, b.count[i] === 0 ? -Infinity : b.max[i]!)),
      };
    },
    tileCounts(grid, rowBegin, rowEnd, window) {
      const count = new Uint32Array(grid.edge * grid.edge);
      const end = grid.row0 + grid.edge * grid.cell;
      for (let query = Math.max(rowBegin, grid.row0); query < Math.min(rowEnd, end); query++) {
        for (let key = grid.column0; key < Math.min(query + 1, grid.column0 + grid.edge * grid.cell); key++) {
          if (visible(query, key, window)) count[Math.floor((query - grid.row0) / grid.cell) * grid.edge + Math.floor((key - grid.column0) / grid.cell)]!++;
        }
      }
      return count;
    },
    attentionValue(dtype, q, k, scale, lse) {
      let sum = 0;
      for (let c = 0; c < q.length; c++) sum += at(dtype, q, c) * at(dtype, k, c);
      return Math.exp(sum * scale - lse);
    },
    toFloat32: (dtype, data) => Float32Array.from({ length: data.length }, (_, i) => at(dtype, data, i)),
    describePolicies: tilesOnly, parsePolicy: tilesOnly, scaledPreset: tilesOnly, replay: tilesOnly, timingCurve: tilesOnly, timingPredict: tilesOnly, kernelWork: tilesOnly, roofline: tilesOnly,
    timingAtLength: tilesOnly, kernelCounts: tilesOnly, workRatio: tilesOnly, compiledDim: tilesOnly,
    describeMemory: tilesOnly, memoryPeak: tilesOnly, memoryRequest: tilesOnly, memoryTimes: tilesOnly, memoryTimeline: tilesOnly, memoryBlocks: tilesOnly, maxContext: tilesOnly, maxContextByBytes: tilesOnly,
    memoryEvents: tilesOnly,
  };
}
