/**
 * Peaks of devices, for lower bounds (a roofline): no kernel reaches them. A bound is shown as what it is, a dotted line on the
 * timings page and a modelled time, "lower bound from the device's peaks", of a kernel that was not measured on the device; never
 * as a measured or interpolated one. Only values with a source that was read; null where there is none. GB = 10^9 bytes.
 */
export interface Sourced { readonly value: number; readonly source: string }

export interface Hardware {
  /** As the driver reports it; other spellings of the same device after the first. */
  readonly names: readonly string[];
  readonly memoryGB: Sourced | null;
  /** What a process can allocate, GiB. */
  readonly visibleGiB: Sourced | null;
  /** Device memory, GB a second. */
  readonly bandwidthGBs: Sourced | null;
  /** bf16 and f16 products with fp32 sums, dense (no 2:4 sparsity), 10^12 operations a second. */
  readonly halfTflops: Sourced | null;
  /** Host link, GB a second and direction: what the bus carries, and what was measured from pinned memory. */
  readonly hostLinkGBs: Sourced | null;
  readonly hostLinkMeasuredGBs: Sourced | null;
  /** To other GPUs, both directions together, GB a second. */
  readonly peerLinkGBs: Sourced | null;
}

const from = (value: number, source: string): Sourced => ({ value, source });
const LLM_ANALYSIS = "cli99/llm-analysis, table of GPUs";
const BOTH = `${LLM_ANALYSIS}; hahnyuan/LLM-Viewer, table of hardware`;
const HEADINFER = "HeadInfer (Luo et al. 2025, arXiv 2502.12574), figure 5";
const HALF_OF_SPARSE = "1,979 with 2:4 sparsity in NVIDIA's data, halved; the GH100 die of the H100, whose 989 cli99/llm-analysis lists";
const PCIE4 = from(31.5, "PCI Express 4.0 x16: 16 GT/s x 16 lanes x 128/130 / 8");
const PCIE5 = from(63, "PCI Express 5.0 x16: 32 GT/s x 16 lanes x 128/130 / 8");
const A100_PEAK = from(312, BOTH);
const A100_80_VISIBLE = from(79.35, "ModelTC/lightllm issue 13, memory that PyTorch reports");
const NVLINK3 = from(600, `${LLM_ANALYSIS}: 300 a direction`);
const H200_PAGES = "specifications published with NVIDIA's announcement of 13 November 2023";

export const HARDWARE: readonly Hardware[] = [
  {
    names: ["NVIDIA H200"], memoryGB: from(141, H200_PAGES), visibleGiB: null, bandwidthGBs: from(4800, H200_PAGES), halfTflops: from(989, HALF_OF_SPARSE),
    hostLinkGBs: PCIE5, hostLinkMeasuredGBs: from(55, "copies of 1 GiB between pinned and device memory, data/timings/nvidia-h200.arrow, 28 November 2026"), peerLinkGBs: from(900, H200_PAGES),
  },
  {
    names: ["NVIDIA H100 80GB HBM3"], memoryGB: from(80, LLM_ANALYSIS), visibleGiB: null, bandwidthGBs: from(3350, LLM_ANALYSIS), halfTflops: from(989, LLM_ANALYSIS),
    hostLinkGBs: PCIE5, hostLinkMeasuredGBs: null, peerLinkGBs: null,
  },
  {
    // The two tables say 2,000 and 2,048: the larger keeps a lower bound one.
    names: ["NVIDIA H100 PCIe"], memoryGB: from(80, BOTH), visibleGiB: null, bandwidthGBs: from(2048, "hahnyuan/LLM-Viewer, table of hardware (cli99/llm-analysis: 2,000)"), halfTflops: from(756, BOTH),
    hostLinkGBs: PCIE5, hostLinkMeasuredGBs: null, peerLinkGBs: null,
  },
  {
    names: ["NVIDIA A100-SXM4-80GB", "A100-SXM4-80GB", "NVIDIA A100-SXM-80GB"], memoryGB: from(80, BOTH), visibleGiB: A100_80_VISIBLE, bandwidthGBs: from(2039, BOTH), halfTflops: A100_PEAK,
    hostLinkGBs: PCIE4, hostLinkMeasuredGBs: null, peerLinkGBs: NVLINK3,
  },
  {
    names: ["NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB"], memoryGB: from(40, BOTH), visibleGiB: from(39.56, "threestudio-project/threestudio discussion 403, memory that PyTorch reports"),
    bandwidthGBs: from(1555, BOTH), halfTflops: A100_PEAK, hostLinkGBs: PCIE4, hostLinkMeasuredGBs: null, peerLinkGBs: NVLINK3,
  },
  {
    names: ["NVIDIA A100 80GB PCIe"], memoryGB: from(80, LLM_ANALYSIS), visibleGiB: A100_80_VISIBLE, bandwidthGBs: from(1935, LLM_ANALYSIS), halfTflops: from(312, LLM_ANALYSIS),
    hostLinkGBs: PCIE4, hostLinkMeasuredGBs: null, peerLinkGBs: null,
  },
  {
    names: ["NVIDIA GeForce RTX 4090", "GeForce RTX 4090"], memoryGB: from(24, "GDDR6X, 12 chips of 2 GB on a bus of 384 bits"), visibleGiB: null,
    bandwidthGBs: from(1008, "bus of 384 bits x 21 Gbit/s a pin / 8"), halfTflops: from(165.2, HEADINFER),
    hostLinkGBs: PCIE4, hostLinkMeasuredGBs: from(25, HEADINFER), peerLinkGBs: null,
  },
];

const plain = (name: string): string => name.trim().toLowerCase().replaceAll(/\s+/g, " ");

/**
 * The row of a device by the name its driver reports; null where none is known. The whole name has to match: an "H200 NVL", or a
 * MIG slice, is another device.
 */
export function hardwareOf(device: string): Hardware | null {
  const wanted = plain(device);
  return HARDWARE.find(({ names }) => names.some((name) => plain(name) === wanted)) ?? null;
}

/** Peaks in operations and bytes a second for kernels of a dtype; NaN where not known. */
export function peaksOf({ bandwidthGBs, halfTflops }: Hardware, dtype: string): { flops: number; bytesPerSecond: number } {
  return { flops: (dtype !== "f16" && dtype !== "bf16") || halfTflops === null ? Number.NaN : halfTflops.value * 1e12, bytesPerSecond: bandwidthGBs === null ? Number.NaN : bandwidthGBs.value * 1e9 };
}

const GIB = 2 ** 30;
/** What CUDA, its libraries and a framework's kernels take before any tensor, GiB: MOM's A100 shows 79.35 and left 78.7. */
const CONTEXT_GIB = 0.65;

/** Memory of a device that tensors can take, and what it rests on; null where its size is not known. */
export function tensorBudget({ visibleGiB, memoryGB }: Hardware): { bytes: number; from: string } | null {
  const size = visibleGiB === null ? (memoryGB === null ? null : memoryGB.value * 1e9) : visibleGiB.value * GIB;
  return size === null ? null : { bytes: Math.floor(size - CONTEXT_GIB * GIB), from: `${visibleGiB === null ? "nominal size" : "what PyTorch sees"} less ${CONTEXT_GIB} GiB of CUDA context` };
}

/** What cuBLAS keeps to work in: 32 MiB from Hopper on. */
export const productWorkspace = ({ names }: Hardware): number => (names.some((name) => /\bG?H[12]00\b/.test(name)) ? 32 * 2 ** 20 : 8_519_680);
