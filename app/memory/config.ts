import type { ContextSearch, MemoryAllocator, MemoryConfig, MemoryDevice as Peaks, MemoryKvFormat, MemoryPhase, MemoryScheme, MemoryShape } from "../../native/engine.ts";
import type { ViewState } from "../state/view-state.ts";
import { deviceById, GIB, type MemoryDevice } from "./devices.ts";
import { readScheme, STANDARD, type Scheme } from "./scheme.ts";

export function schemeForEngine({ chunk, rows, upcast, mini, piece, pieces, offload, reload, inPlace }: Scheme): MemoryScheme {
  return {
    chunkTokens: chunk, logits: { rows, upcast },
    mini: { mode: mini === "size" ? "by size" : mini === "count" ? "by count" : "off", pieceTokens: piece, pieces, lastMlp: "by family" },
    offload: { unit: offload, reload }, cache: inPlace ? "in place" : "growing",
  };
}

export function schemeOfEngine({ chunkTokens, logits, mini, offload, cache }: MemoryScheme): Scheme {
  return {
    chunk: chunkTokens, rows: logits.rows, upcast: logits.upcast, mini: mini.mode === "by size" ? "size" : mini.mode === "by count" ? "count" : "off", piece: mini.pieceTokens, pieces: mini.pieces,
    offload: offload.unit, reload: offload.unit === "none" || offload.reload, inPlace: cache === "in place",
  };
}

/** Per token without groups while nothing is quantised; quantised as KIVI does: keys a channel in groups of 32 tokens, values a token. */
function kvFormat(type: MemoryKvFormat["type"]): MemoryKvFormat {
  const group = type === "model" ? 0 : 32;
  return { type, keys: { per: type === "model" ? "token" : "channel", group, bytes: 2, zeroPoint: true }, values: { per: "token", group, bytes: 2, zeroPoint: true } };
}

export function configOf(memory: ViewState["memory"], model: MemoryShape, scheme: string, device: MemoryDevice): MemoryConfig {
  return {
    implementation: memory.by, model, dtype: "bf16", kv: kvFormat(memory.kv), promptTokens: memory.tokens, decodeSteps: memory.generated - 1,
    scheme: schemeForEngine(readScheme(scheme) ?? STANDARD), retention: null, evictionBytes: 0, policy: { call: 0, callPerToken: 0, resident: 0, residentPerToken: 0 },
    workspaceBytes: device.workspaceBytes,
  };
}

export function allocatorOf({ device, gib, segments }: ViewState["memoryFit"]): MemoryAllocator {
  return { budgetBytes: gib > 0 ? Math.round(gib * GIB) : deviceById(device).budgetBytes, expandable: segments === "expandable" };
}

/** Lengths that published limits were found at; a tenth of the budget's own scale where that is small. */
export const searchOf = (allocator: MemoryAllocator, grid: number): ContextSearch => ({ ...allocator, grid, confirm: 8 });

/** About 80 steps of a round number to the longest that bytes allow. */
export function gridOf(longest: number): number {
  const wish = Math.max(1, longest / 80), ten = 10 ** Math.floor(Math.log10(wish));
  return [1, 2, 5, 10].map((step) => step * ten).find((step) => step >= wish) ?? 10 * ten;
}

export const peaksOf = ({ flops, bytesPerSecond, linkBytesPerSecond }: MemoryDevice): Peaks | null =>
  (flops > 0 && bytesPerSecond > 0 ? { flops, bytesPerSecond, toHostBytesPerSecond: linkBytesPerSecond, toDeviceBytesPerSecond: linkBytesPerSecond } : null);

/** Phases that any of these schemes has. */
export function phasesOf(schemes: readonly string[]): MemoryPhase[] {
  const reloads = schemes.map(readScheme).some((scheme) => scheme !== null && scheme.offload !== "none" && scheme.reload);
  return reloads ? ["load", "prefill", "reload", "decode"] : ["load", "prefill", "decode"];
}
