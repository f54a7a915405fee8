import { z } from "zod";
import type { ViewState } from "./view-state.ts";

/**
 * What a link may hold, key by key. Limits keep any link below 2,000 characters: names are at most 32 characters, numbers
 * at most 24. Indices are checked against the capture once it is open (see fit.ts).
 */
const index = z.int().min(0).max(4_294_967_295);
const token = z.number().min(-4_294_967_296).max(4_294_967_296);
const name = z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/i);
const mass = z.number().min(1e-30).max(1e6);

export const VIEW_SCHEMA = z.object({
  page: z.enum(["home", "head", "kv"]),
  layer: index,
  head: index,
  window: z.object({ key: token, query: token, span: z.number().min(1e-3).max(4_294_967_296) }).nullable(),
  pooling: z.enum(["mean", "max", "sum"]),
  colour: z.object({ scale: z.enum(["log", "linear"]), low: z.number().min(0).max(1e6), high: mass, map: name })
    .refine((colour) => colour.low < colour.high, "low must be below high"),
  metric: name,
  sort: z.enum(["layer", "ascending", "descending"]),
  rowMarginal: z.enum(["entropy", "sink_mass", "local_mass", "top1_mass", "coverage_95"]),
  gridView: z.enum(["thumbs", "metric", "table"]),
  kvTensor: z.enum(["k", "v"]),
  channelStat: z.enum(["mean", "absmax", "variance"]),
  kvTokens: z.object({ begin: index, end: index }).refine((range) => range.begin < range.end, "begin must be below end").nullable(),
  rail: z.boolean(),
  theme: z.enum(["system", "light", "dark"]),
}) satisfies z.ZodType<ViewState>;
