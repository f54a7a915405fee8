import type { ContextBand, CoreEngine, MemoryConfig, MemoryPeak, MemoryRequest, MemoryTimes } from "../../native/engine.ts";
import type { MemoryTarget } from "./device.ts";
import type { NamedScheme } from "./schemes.ts";

/** What the model says of one scheme. band and times: null where not asked for, or nothing to go by. */
export interface SchemeOutlook { name: string; config: MemoryConfig; peak: MemoryPeak; request: MemoryRequest; times: MemoryTimes | null; band: ContextBand | null }

export interface OutlookOptions { expandable: boolean; grid: number | null }

/** Feasible lengths in a row that end the search: of the published 5K grid, 40K without a gap. */
const CONFIRM = 8;

export function outlookOf(engine: CoreEngine, { name, scheme }: NamedScheme, base: Omit<MemoryConfig, "scheme">, target: MemoryTarget, { expandable, grid }: OutlookOptions): SchemeOutlook {
  const config: MemoryConfig = { ...base, scheme }, allocator = { budgetBytes: target.budgetBytes, expandable };
  const timed = engine.describeMemory().implementations.some(({ id, times }) => times && id === base.implementation);
  return {
    name, config, peak: engine.memoryPeak(config), request: engine.memoryRequest(config, allocator), times: target.peaks === null || !timed ? null : engine.memoryTimes(config, target.peaks),
    band: grid === null || target.budgetBytes === 0 ? null : engine.maxContext(config, { ...allocator, grid, confirm: CONFIRM }),
  };
}
