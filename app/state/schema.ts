import { z } from "zod";
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
export const POLICY_CHARACTERS = 250;
const policy = z.string().max(POLICY_CHARACTERS).regex(/^([a-z][a-z0-9-]{0,39}(:[a-z0-9_]+=[a-z0-9_.+-]+(,[a-z0-9_]+=[a-z0-9_.+-]+)*)?)?$/i);
const window = z.object({ key: token, query: token, span: z.number().min(1e-3).max(4_294_967_296) }).nullable();
const colour = z.object({ scale: z.enum(["log", "linear"]), low: z.number().min(0).max(1e6), high: mass, map: name })
  .refine((value) => value.low < value.high, "low must be below high");
const panePolicy = z.enum(["active", "none", "a", "b", "c", "d"]);

export const VIEW_SCHEMA = z.object({
  page: z.enum(["home", "head", "kv"]),
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
  chartCost: z.enum(["bytes", "keys"]),
  generated: z.int().min(0).max(1_048_576),
  theme: z.enum(["system", "light", "dark"]),
}) satisfies z.ZodType<ViewState>;
