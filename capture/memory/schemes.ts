import type { MemoryCatalogue, MemoryKvFormat, MemoryRetention, MemoryScheme } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";

/** A scheme under comparison; name is what was asked for. */
export interface NamedScheme { name: string; scheme: MemoryScheme }

/** Switches that a scheme's text and flags of all schemes can set. */
export interface SchemeSwitches { logits?: string; chunk?: string; mini?: string; offload?: string; cache?: string }
const SWITCHES = ["logits", "chunk", "mini", "offload", "cache"] as const satisfies readonly (keyof SchemeSwitches)[];

/** Shown without --scheme: what was published, and what nobody has. */
export const USUAL_SCHEMES = ["standard", "last-token", "mini-sequence", "offload", "mom", "chunked", "chunked:logits=last"] as const;

/** "mom" or "chunked:logits=last,chunk=4096"; `all` are switches of every scheme. E_MEMORY_SCHEME, E_OPTION. */
export function schemeOf(text: string, all: SchemeSwitches, { schemes }: MemoryCatalogue): NamedScheme {
  const [id = "", rest = ""] = text.split(/:(.*)/s) as [string, string?];
  const known = schemes.find((each) => each.id === id);
  if (known === undefined) throw userError("E_MEMORY_SCHEME", `no scheme is called "${id}"; there are ${schemes.map((each) => each.id).join(", ")}, each as in ${id === "" ? "mom" : "chunked"}:logits=last,chunk=4096.`);
  const own: SchemeSwitches = {};
  for (const part of rest === "" ? [] : rest.split(",")) {
    const [name = "", value = ""] = part.split("=") as [string, string?];
    const wanted = SWITCHES.find((each) => each === name);
    if (wanted === undefined) throw userError("E_OPTION", `--scheme ${text}: there is no switch "${name}"; there are ${SWITCHES.join(", ")}.`);
    own[wanted] = value;
  }
  return { name: text, scheme: { ...known.scheme, ...changed(known.scheme, { ...all, ...own }, text) } };
}

function changed(scheme: MemoryScheme, { logits, chunk, mini, offload, cache }: SchemeSwitches, text: string): Partial<MemoryScheme> {
  const tokens = (name: string, value: string): number => {
    if (!/^\d{1,9}$/.test(value)) throw userError("E_OPTION", `${text}: ${name} must be a whole number of tokens, 0 for none; "${value}" is not.`);
    return Number(value);
  };
  const one = <T extends string>(name: string, value: string, choices: readonly T[]): T => {
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw userError("E_OPTION", `${text}: ${name} must be ${choices.join(", ")}; "${value}" is not.`);
    return found;
  };
  return {
    ...(logits === undefined ? {} : { logits: { ...scheme.logits, rows: one("logits", logits, ["all", "last"]) } }),
    ...(chunk === undefined ? {} : { chunkTokens: tokens("chunk", chunk) }),
    ...(mini === undefined ? {} : { mini: tokens("mini", mini) === 0 ? { ...scheme.mini, mode: "off" as const } : { ...scheme.mini, mode: "by size" as const, pieceTokens: tokens("mini", mini) } }),
    ...(offload === undefined ? {} : { offload: { unit: one("offload", offload, ["none", "layer", "head"]), reload: offload !== "head" } }),
    ...(cache === undefined ? {} : { cache: one("cache", cache, ["growing", "in-place"]) === "growing" ? "growing" as const : "in place" as const }),
  };
}

/** "model", "int8:token", "int4:channel/64", "int4:kivi": one scale and zero point, 2 bytes each, a token and head, or a channel and group of tokens. */
export function kvFormatOf(text: string): MemoryKvFormat {
  const [, type, per = "token", group = ""] = /^(model|int8|int4)(?::(token|channel|kivi))?(?:\/(\d{1,6}))?$/.exec(text) ?? [];
  if (type === undefined || (type === "model" && text !== "model")) throw userError("E_OPTION", `--kv-dtype must be model, or int8 or int4 with :token, :channel or :kivi and /group, such as int4:kivi/32; "${text}" is not.`);
  const scales = (of: "token" | "channel", otherwise: number): MemoryKvFormat["keys"] => ({ per: of, group: group === "" ? otherwise : Number(group), bytes: 2, zeroPoint: true });
  // KIVI: keys a channel in groups of 32 tokens, values a token in groups of 32 channels.
  if (per === "kivi") return { type: type as MemoryKvFormat["type"], keys: scales("channel", 32), values: scales("token", 32) };
  return { type: type as MemoryKvFormat["type"], keys: scales(per as "token" | "channel", 0), values: scales(per as "token" | "channel", 0) };
}

/** "0.25": a share of the tokens seen. Anything else: a policy, checked by the engine. */
export function retentionOf(text: string): MemoryRetention {
  const share = Number(text);
  return Number.isNaN(share) || text.trim() === "" ? { policy: text } : { share, decode: "grows" };
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12, ki: 2 ** 10, mi: 2 ** 20, gi: 2 ** 30, ti: 2 ** 40 };

/** "78.7GiB", "80GB", "84500000000". */
export function budgetOf(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?i?)b?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(digits) * (UNITS[unit.toLowerCase()] ?? Number.NaN));
  if (digits === "" || !Number.isSafeInteger(bytes) || bytes <= 0) throw userError("E_OPTION", `--budget must be a number of bytes above 0, such as 78.7GiB or 80GB; "${text}" is not.`);
  return bytes;
}
