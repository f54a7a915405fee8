import { HARDWARE, peaksOf, productWorkspace, tensorBudget } from "../../data/hardware.ts";
import type { Hardware } from "../../data/hardware.ts";
import type { DType, MemoryDevice } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";
import { budgetOf } from "./schemes.ts";

export interface MemoryTarget {
  /** 0: no end. */
  budgetBytes: number; budgetFrom: string;
  name: string | null;
  workspaceBytes: number;
  /** Null where the device, or its peaks, are not known. */
  peaks: MemoryDevice | null;
}

const plain = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");

/** A row by its name or a part of it that no other has. */
function rowOf(text: string): Hardware {
  const exact = HARDWARE.filter(({ names }) => names.some((name) => plain(name) === plain(text)));
  const rows = exact.length > 0 ? exact : HARDWARE.filter(({ names }) => plain(text) !== "" && names.some((name) => plain(name).includes(plain(text))));
  const [row] = rows;
  if (row === undefined || rows.length > 1)
    throw userError("E_OPTION", `--device ${text}: ${rows.length === 0 ? "no row of the hardware table has this name" : `${rows.length} rows of the hardware table have it in their names`}; there are ${HARDWARE.map(({ names }) => names[0]).join(", ")}.`);
  return row;
}

/** What --device and --budget come to. */
export function targetOf(device: string | undefined, budget: string | undefined, dtype: DType): MemoryTarget {
  const row = device === undefined ? null : rowOf(device), own = row === null ? null : tensorBudget(row), peaks = row === null ? null : peaksOf(row, dtype);
  const link = (row?.hostLinkMeasuredGBs ?? row?.hostLinkGBs)?.value ?? 0;
  return {
    ...(budget !== undefined ? { budgetBytes: budgetOf(budget), budgetFrom: "--budget" } : own === null ? { budgetBytes: 0, budgetFrom: "no end" } : { budgetBytes: own.bytes, budgetFrom: own.from }),
    name: row?.names[0] ?? null, workspaceBytes: row === null ? 8_519_680 : productWorkspace(row),
    peaks: peaks === null || Number.isNaN(peaks.flops) || Number.isNaN(peaks.bytesPerSecond) ? null : { ...peaks, toHostBytesPerSecond: link * 1e9, toDeviceBytesPerSecond: link * 1e9 },
  };
}
