import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import type { DevicePlan, DType } from "../../native/engine.ts";
import { userError } from "./failure.ts";

const WEIGHTS: readonly DevicePlan["weights"][] = ["auto", "resident", "streamed"];
const CPU: DevicePlan = { name: "cpu", weights: "auto", memoryBytes: 0 };

/** What commander makes of the flags below. */
export interface DeviceFlags { device: string; weights?: DevicePlan["weights"]; deviceMemory?: number }

/** Adds the flags that say where a run computes. */
export function addDeviceFlags(command: Command): Command {
  return command
    .option("--device <name>", "where the model runs: cpu, cuda, or cuda:1 for the second GPU", deviceName, "cpu")
    .addOption(new Option("--weights <mode>", "on a GPU: resident, streamed (layer by layer), or auto (streamed where they do not fit beside the rest); default: auto").choices(WEIGHTS))
    .option("--device-memory <bytes>", "on a GPU: most of its memory that is used, such as 40G (default: what is free)", byteCount);
}

/** The device chosen; `vectors` is refused where it cannot be used there. */
export function deviceChoice({ device, weights, deviceMemory }: DeviceFlags, vectors: DType): DevicePlan {
  if (device === "cpu") {
    const alone = weights === undefined ? (deviceMemory === undefined ? undefined : "--device-memory") : "--weights";
    if (alone !== undefined) throw userError("E_OPTION", `${alone} is about a GPU and the run is on the CPU; add --device cuda or leave it out.`);
    return CPU;
  }
  if (vectors === "f32") throw userError("E_DEVICE_DTYPE", `--vectors f32: kernels of a GPU read 16-bit queries, keys and values; give --vectors bf16 or f16, or run on the CPU.`);
  return { name: device, weights: weights ?? "auto", memoryBytes: deviceMemory ?? 0 };
}

export function deviceName(text: string): string {
  if (!/^(cpu|cuda(:\d{1,3})?)$/.test(text)) throw new InvalidArgumentError("It must be cpu, cuda or cuda:<number>.");
  return text;
}

const UNITS = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 } as const;

/** Bytes, or with K, M, G, T as powers of 1024, as attnscope time takes them. */
export function byteCount(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,15})([KMGT]?)$/i.exec(text) ?? [];
  const bytes = Number(digits) * UNITS[unit.toUpperCase() as keyof typeof UNITS];
  if (digits === "" || bytes === 0 || !Number.isSafeInteger(bytes)) throw new InvalidArgumentError("It must be a number of bytes above 0, such as 40G.");
  return bytes;
}
