import { cpus } from "node:os";
import type { Manifest } from "../../data/format/manifest.ts";
import type { NodeEngine } from "../../native/engine.ts";

/** The machine as the manifest records it. */
export function describeDevice(engine: NodeEngine, threads: number): Manifest["device"] {
  const info = engine.info();
  return { kind: "cpu", name: info.cpu || (cpus()[0]?.model ?? "unknown CPU"), threads, blas: info.blas };
}
