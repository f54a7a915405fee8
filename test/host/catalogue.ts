import { z } from "zod";
import { TIMING_KERNELS } from "../../data/format/timings.ts";
import type { PolicyCatalogue } from "../../native/engine.ts";

const word = z.string().min(1);
const parameter = z.strictObject({
  name: z.string().regex(/^[A-Za-z_]\w*$/), type: z.enum(["integer", "real", "choice", "flag"]), unit: z.string(),
  minimum: z.number(), maximum: z.number(), fallback: z.number(), logarithmic: z.boolean(), scales: z.boolean(),
  choices: z.array(z.string().regex(/^[^\s,=]+$/)), doc: word,
}).refine((p) => p.minimum <= p.fallback && p.fallback <= p.maximum, "a default outside its range")
  .refine((p) => (p.type === "choice") === (p.choices.length > 0), "choices without a type, or the reverse")
  .refine((p) => p.type !== "choice" || p.maximum === p.choices.length - 1, "a range that is not that of the choices")
  .refine((p) => p.type === "real" || p.type === "integer" || p.unit === "", "a unit on what has none")
  .refine((p) => !p.logarithmic || p.minimum > 0, "a ratio scale that holds 0");
const preset = z.strictObject({ name: z.string().regex(/^[^\s,=@]+$/), source: word, values: z.array(z.number()), contextTokens: z.int().min(0) });
const kernel = z.strictObject({ when: z.enum(["prefill", "build", "step"]), op: word, phase: word })
  .refine(({ op, phase }) => (TIMING_KERNELS as Record<string, readonly string[]>)[op]?.includes(phase), "a kernel that the timing table does not have");
const policy = z.strictObject({
  id: z.string().regex(/^[a-z0-9]+(-[a-z0-9]+)*$/), title: word, family: z.enum(["prefill", "retention", "retrieval"]), unit: z.enum(["query head", "kv head", "layer"]),
  granularity: word, phase: word, frees: z.enum(["nothing", "memory", "emulated"]), queryAware: z.enum(["no", "prompt", "every step"]),
  sampled: z.boolean(), needsFuture: z.boolean(), yardstick: z.boolean(), doc: word, source: word,
  kernels: z.array(kernel), untimed: z.string(), parameters: z.array(parameter), presets: z.array(preset).min(1),
}).refine((p) => p.presets.every(({ values }) => values.length === p.parameters.length), "a preset with another number of values")
  .refine((p) => p.presets.every(({ values }) => values.every((value, i) => value >= p.parameters[i]!.minimum && value <= p.parameters[i]!.maximum)), "a preset outside the ranges")
  .refine((p) => p.sampled === p.parameters.some(({ name }) => name === "seed"), "sampled without a seed, or the reverse");

/** PolicyCatalogue member for member, nothing more, with what the type cannot say. */
export const catalogueSchema: z.ZodType<PolicyCatalogue> = z.strictObject({
  policies: z.array(policy).min(1),
  metrics: z.array(z.strictObject({ name: z.string().regex(/^[a-z0-9_]+$/), unit: z.string(), kind: z.enum(["exact", "sampled", "modelled"]), better: z.enum(["high", "low", ""]), doc: word })).min(1),
  tokenClasses: z.array(word).length(7),
});
