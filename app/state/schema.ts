import { z } from "zod";
import { MOST_GENERATED, MOST_TOKENS, PINNED_SCHEMES, pinnedSchemes, readScheme, SCHEME_CHARACTERS } from "../memory/scheme.ts";
import type { ViewState } from "./view-state.ts";

/**
 * What a link may hold, key by key. Limits keep any link below 2,000 characters: names are at most 32 characters, numbers
 * at most 24, a policy with all its parameters POLICY_CHARACTERS. Indices are checked against the capture once it is open
 * (see fit.ts), policies by the engine.
 */
const index = z.int().min(0).max(4_294_967_295);
const token = z.number().min(-4_294_967_296).max(4_294_967_296);
const name = z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/i);
const mass = z.number().min(1e-30).max(1e6);

/** Every parameter of the largest descriptor away from its default takes about 180. */
export const POLICY_CHARACTERS = 220;
const policy = z.string().max(POLICY_CHARACTERS).regex(/^([a-z][a-z0-9-]{0,39}(:[a-z0-9_]+=[a-z0-9_.+-]+(,[a-z0-9_]+=[a-z0-9_.+-]+)*)?)?$/i);
/** A device's short name: its marketing name in small letters, cut. */
export const DEVICE_CHARACTERS = 40;
/** Series of the timings chart that can differ from their default, each by four letters. */
export const TURNED_SERIES = 12;
const scheme = z.string().max(SCHEME_CHARACTERS).refine((text) => readScheme(text) !== null, "not a scheme");
const window = z.object({ key: token, query: token, span: z.number().min(1e-3).max(4_294_967_296) }).nullable();
const colour = z.object({ scale: z.enum(["log", "linear"]), low: z.number().min(0).max(1e6), high: mass, map: name })
  .refine((value) => value.low < value.high, "low must be below high");
const panePolicy = z.enum(["active", "none", "a", "b", "c", "d"]);

export const VIEW_SCHEMA = z.object({
  page: z.enum(["home", "head", "kv", "memory", "timings"]),
  layer: index,
  head: index,
  window,
  pooling: z.enum(["mean", "max", "sum"]),
  colour,
  metric: z.string().regex(/^(policy:)?[a-z][a-z0-9_-]{0,31}$/i),
  sort: z.enum(["layer", "ascending", "descending"]),
  rowMarginal: z.enum(["entropy", "sink_mass", "local_mass", "top1_mass", "coverage_95"]),
  gridView: z.enum(["thumbs", "metric", "table"]),
  kvTensor: z.enum(["k", "v"]),
  channelStat: z.enum(["mean", "absmax", "variance"]),
  kvTokens: z.object({ begin: index, end: index }).refine((range) => range.begin < range.end, "begin must be below end").nullable(),
  rail: z.boolean(),
  policies: z.tuple([policy, policy, policy, policy]),
  activePolicy: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]),
  policyPanel: z.boolean(),
  rowsMode: z.enum(["sample", "all"]),
  context: index.nullable(),
  chunk: index,
  panes: z.union([z.literal(1), z.literal(2)]),
  locks: z.object({ location: z.boolean(), zoom: z.boolean(), colour: z.boolean() }),
  layer2: index,
  head2: index,
  window2: window,
  colour2: colour,
  panePolicy: z.object({ first: panePolicy, second: panePolicy }),
  compare: z.enum(["none", "difference", "ratio", "blink"]),
  blinkSide: z.enum(["first", "second"]),
  drawer: z.enum(["closed", "tradeoff", "request", "tokens", "lsh"]),
  drawerHeight: z.int().min(80).max(4000),
  chartLoss: z.enum(["error", "recall", "recall_no_sinks"]),
  chartCost: z.enum(["bytes", "keys", "time"]),
  generated: z.int().min(0).max(1_048_576),
  requestCost: z.enum(["bytes", "time"]),
  device: z.string().max(DEVICE_CHARACTERS).regex(/^[a-z0-9-]*$/),
  timingGroup: z.enum(["prefill", "decode", "parts"]),
  timingScope: z.enum(["total", "attention"]),
  timingShape: z.string().regex(/^(\d{1,5}\/\d{1,5}x\d{1,5})?$/),
  timingDtype: z.enum(["", "f32", "f16", "bf16"]),
  timingBatching: z.enum(["batched", "perhead"]),
  timingLength: index.nullable(),
  timingSeries: z.string().max(5 * TURNED_SERIES - 1).regex(/^([a-z0-9]{4}(\.[a-z0-9]{4})*)?$/),
  timingView: z.enum(["charts", "table"]),
  roofline: z.boolean(),
  memory: z.object({ model: name, by: name, scheme, tokens: z.int().min(1).max(MOST_TOKENS), generated: z.int().min(1).max(MOST_GENERATED), kv: z.enum(["model", "int8", "int4"]) }),
  memoryFit: z.object({ device: z.string().max(DEVICE_CHARACTERS).regex(/^[a-z0-9-]*$/), gib: z.number().min(0).max(65_536), segments: z.enum(["fixed", "expandable"]) }),
  memoryPinned: z.string().refine((text) => pinnedSchemes(text).length <= PINNED_SCHEMES && pinnedSchemes(text).every((part) => scheme.safeParse(part).success), "not a list of schemes"),
  memoryWindow: z.object({ begin: z.number().min(0).max(1), end: z.number().min(0).max(1) }).refine((range) => range.begin < range.end, "begin must be below end").nullable(),
  memoryCursor: index.nullable(),
  memoryBlocks: z.boolean(),
  theme: z.enum(["system", "light", "dark"]),
}) satisfies z.ZodType<ViewState>;
