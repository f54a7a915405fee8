import { HARDWARE } from "../../data/hardware.ts";

export const GIB = 2 ** 30, MIB = 2 ** 20;

/** Memory of a device that tensors can take. */
export interface MemoryDevice {
  id: string; name: string;
  budgetBytes: number;
  /** Where the budget is from. */
  note: string;
  /** Peaks for modelled times; 0 where not known. */
  flops: number; bytesPerSecond: number; linkBytesPerSecond: number;
}

/** What CUDA, its libraries and the framework's kernels take before any tensor: from MOM's A100, whose 79.35 GiB left 78.7. */
export const CONTEXT_BYTES = 0.65 * GIB;

export const MEMORY_DEVICES: readonly MemoryDevice[] = HARDWARE.flatMap(({ names, visibleGiB, memoryGB, bandwidthGBs, halfTflops, hostLinkGBs, hostLinkMeasuredGBs }) => {
  const name = names[0] ?? "";
  if (visibleGiB === null && memoryGB === null) return [];
  const bytes = visibleGiB === null ? (memoryGB as NonNullable<typeof memoryGB>).value * 1e9 : visibleGiB.value * GIB;
  const from = visibleGiB === null ? "nominal size" : "what PyTorch sees";
  return [{
    id: name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").slice(0, 40), name, budgetBytes: Math.floor(bytes - CONTEXT_BYTES), note: `${from} less 0.65 GiB of CUDA context`,
    flops: (halfTflops?.value ?? 0) * 1e12, bytesPerSecond: (bandwidthGBs?.value ?? 0) * 1e9, linkBytesPerSecond: (hostLinkMeasuredGBs?.value ?? hostLinkGBs?.value ?? 0) * 1e9,
  }];
});

/** The first is the one that the published numbers are from. */
export const DEFAULT_DEVICE = MEMORY_DEVICES.find(({ name }) => name.includes("A100-SXM4-80GB")) ?? (MEMORY_DEVICES[0] as MemoryDevice);
export const deviceById = (id: string): MemoryDevice => MEMORY_DEVICES.find((device) => device.id === id) ?? DEFAULT_DEVICE;
