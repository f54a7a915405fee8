/**
 * What `attnscope time` hands to the engine as text. Declared here so that --help needs no add-on; a test holds the list to the
 * engine's own (native/host/timing/timing_options.cpp).
 */
export const ENGINE_OPTIONS: readonly { name: string; argument: string; doc: string }[] = [
  { name: "preset", argument: "cpu|gpu|quick", doc: "what to begin with; other options change it (default: as the device)" },
  { name: "device", argument: "cpu|cuda[:i]", doc: "where to measure" },
  { name: "threads", argument: "N", doc: "threads of the CPU; 0: all" },
  { name: "dtype", argument: "f32|f16|bf16", doc: "of queries, keys and values" },
  { name: "heads", argument: "LIST", doc: "shapes as query heads / kv heads x head_dim: 32/8x128,4/2x32" },
  { name: "lengths", argument: "LIST", doc: "tokens: 1K,2K,4K; K and M are 1024 and 1024^2" },
  { name: "edges", argument: "LIST", doc: "lengths measured also one token shorter and longer: both sides of a tile's edge" },
  { name: "ops", argument: "LIST", doc: "operations, as in column op" },
  { name: "policy", argument: "LIST", doc: "policies with their budgets, separated by ;, as id:name=value or id:preset=NAME; NAME@N scales the preset to each length" },
  { name: "runs", argument: "LIST", doc: "lengths of the runs that synthetic distances come in; one: all in one run" },
  { name: "batching", argument: "batched|per-head|both", doc: "all heads in one launch, one launch a head, or both" },
  { name: "shares", argument: "LIST", doc: "per cent of the keys that a decode step over a list reads" },
  { name: "copies", argument: "LIST", doc: "bytes of the copies: 4K,1M,1G" },
  { name: "repeats", argument: "N", doc: "repetitions of every measurement" },
  { name: "warmups", argument: "N", doc: "repetitions before them that are not counted" },
  { name: "cell-seconds", argument: "S", doc: "a measurement ends after S seconds, though not before 5 repetitions" },
  { name: "patience", argument: "X", doc: "a measurement whose 5 repetitions would take more than X times its seconds is left out" },
  { name: "budget-seconds", argument: "S", doc: "no measurement begins after S seconds; 0: no limit" },
  { name: "memory", argument: "BYTES", doc: "most memory of the device that is used (default: 80 % of it)" },
  { name: "flush", argument: "on|off", doc: "overwrite the last-level cache before every repetition" },
  { name: "seed", argument: "N", doc: "of vectors and synthetic indices" },
];

const camel = (name: string): string => name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());

/** The options given, as commander parsed them. */
export function engineOptions(flags: Readonly<Record<string, unknown>>): { name: string; value: string }[] {
  return ENGINE_OPTIONS.flatMap(({ name }) => {
    const value = flags[camel(name)];
    return typeof value === "string" ? [{ name, value }] : [];
  });
}
