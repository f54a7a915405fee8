import { cpus } from "node:os";
import type { Manifest } from "../../data/format/manifest.ts";
import type { DeviceInfo, DevicePlan, DeviceUse, NodeEngine } from "../../native/engine.ts";

/** The GPU that a plan names, tried in a child process before it can take this one down; undefined for the CPU. */
export async function tryDevice(engine: NodeEngine, device: Pick<DevicePlan, "name"> | undefined): Promise<DeviceInfo | undefined> {
  return device === undefined || device.name === "cpu" ? undefined : await engine.probeDevice(device.name);
}

/** The machine as the manifest records it; `gpu` is what the model runs on, if not the processor. */
export function describeDevice(engine: NodeEngine, threads: number, gpu?: DeviceInfo): Manifest["device"] {
  if (gpu !== undefined) return { kind: "cuda", name: gpu.name, threads, blas: gpu.products, driver: gpu.driver };
  const info = engine.info();
  return { kind: "cpu", name: info.cpu || (cpus()[0]?.model ?? "unknown CPU"), threads, blas: info.blas };
}

/** The same once the run has ended and has measured what it took. */
export function withUse(device: Manifest["device"], use: DeviceUse | undefined): Manifest["device"] {
  if (use === undefined) return device;
  const { name, driver, products, compute, weights, peakBytes, bytesAtPeak } = use;
  return { kind: "cuda", name, threads: device.threads, blas: products, driver, compute, weights, peakBytes, bytesAtPeak };
}
