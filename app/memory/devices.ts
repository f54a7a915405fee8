import { HARDWARE, productWorkspace, tensorBudget } from "../../data/hardware.ts";

export const GIB = 2 ** 30, MIB = 2 ** 20;

/** Memory of a device that tensors can take. */
export interface MemoryDevice {
  id: string; name: string;
  budgetBytes: number;
  /** Where the budget is from. */
  note: string;
  /** Of the matrix library. */
  workspaceBytes: number;
  /** Peaks for modelled times; 0 where not known. */
  flops: number; bytesPerSecond: number; linkBytesPerSecond: number;
}

export const MEMORY_DEVICES: readonly MemoryDevice[] = HARDWARE.flatMap((row) => {
  const { names, bandwidthGBs, halfTflops, hostLinkGBs, hostLinkMeasuredGBs } = row, name = names[0] ?? "", budget = tensorBudget(row);
  return budget === null ? [] : [{
    id: name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").slice(0, 40), name, budgetBytes: budget.bytes, note: budget.from, workspaceBytes: productWorkspace(row),
    flops: (halfTflops?.value ?? 0) * 1e12, bytesPerSecond: (bandwidthGBs?.value ?? 0) * 1e9, linkBytesPerSecond: (hostLinkMeasuredGBs?.value ?? hostLinkGBs?.value ?? 0) * 1e9,
  }];
});

/** The first is the one that the published numbers are from. */
export const DEFAULT_DEVICE = MEMORY_DEVICES.find(({ name }) => name.includes("A100-SXM4-80GB")) ?? (MEMORY_DEVICES[0] as MemoryDevice);
export const deviceById = (id: string): MemoryDevice => MEMORY_DEVICES.find((device) => device.id === id) ?? DEFAULT_DEVICE;
