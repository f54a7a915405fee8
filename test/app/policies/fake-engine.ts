import type { CoreEngine, HeadReplay, ParsedPolicy, PolicyCatalogue, PolicyDescriptor, PolicyParameter, ReplayOptions, ReplayShape } from "../../../native/engine.ts";
import { NativeError } from "../../../native/engine.ts";
import { readPolicy, writePolicy } from "../../../app/policies/text.ts";
import { referenceEngine } from "../tiles/reference-engine.ts";

const labels = { granularity: "token", phase: "prefill", frees: "nothing", queryAware: "no", sampled: false, needsFuture: false, yardstick: false, source: "a paper", kernels: [], untimed: "" } satisfies Partial<PolicyDescriptor>;
const tokens = (name: string, fallback: number, scales = false): PolicyParameter =>
  ({ name, type: "integer", unit: "tokens", minimum: 0, maximum: 1_048_576, fallback, logarithmic: true, scales, choices: [], doc: `${name} in tokens` });

/** Three made-up policies, one a family, with every type of parameter; what each keeps is a plain share of its budget. */
export const FAKE_POLICIES: PolicyDescriptor[] = [
  {
    ...labels, id: "band", title: "Band", family: "prefill", unit: "query head", doc: "Keeps a band.",
    parameters: [tokens("w", 1024, true), { ...tokens("mode", 0), type: "choice", unit: "", maximum: 1, logarithmic: false, choices: ["mean", "max"] }, { ...tokens("force", 1), type: "flag", unit: "", maximum: 1, logarithmic: false }],
    presets: [{ name: "paper", source: "a paper, table 1", values: [1024, 0, 1], contextTokens: 131_072 }, { name: "all", source: "a paper", values: [1_048_576, 0, 1], contextTokens: 0 }],
  },
  {
    ...labels, id: "half-band", title: "Half band", family: "prefill", unit: "query head", doc: "Keeps half of what its budget says.", needsFuture: true, yardstick: true, sampled: true,
    parameters: [{ ...tokens("r", 0.5), type: "real", unit: "share of 1", maximum: 1, logarithmic: false }, { ...tokens("seed", 0), unit: "" }], presets: [{ name: "paper", source: "a paper", values: [0.5, 0], contextTokens: 0 }],
  },
  {
    ...labels, id: "recent", title: "Recent", family: "retention", unit: "kv head", phase: "decode", frees: "memory", queryAware: "every step", doc: "Keeps the last tokens.",
    parameters: [tokens("n", 64, true)], presets: [{ name: "paper", source: "a paper", values: [64], contextTokens: 0 }],
  },
];

const metric = (name: string, kind: "exact" | "sampled" | "modelled") => ({ name, unit: "share of 1", kind, better: "" as const, doc: `${name}, explained` });
export const FAKE_CATALOGUE: PolicyCatalogue = {
  policies: FAKE_POLICIES, tokenClasses: ["special", "word", "number", "punctuation", "space", "newline", "other"],
  metrics: [
    metric("rows_evaluated", "exact"), metric("rows_dense", "exact"), metric("rows_covered", "exact"), metric("recall_mean", "sampled"), metric("recall_se", "sampled"), metric("recall_p5", "sampled"),
    metric("error_mean", "sampled"), metric("kept_share", "sampled"), metric("kernel_sparsity", "exact"), metric("kv_bytes", "exact"), metric("step_bytes", "modelled"), metric("kept_word", "sampled"),
  ],
};

export interface FakeLog { runs: string[]; completes: number; frees: number; strips: number; open: number; rows: Uint32Array | null; queries: number; keys: number }
export const fakeLog = (): FakeLog => ({ runs: [], completes: 0, frees: 0, strips: 0, open: 0, rows: null, queries: 0, keys: 0 });

/** The core as the policy worker sees it, without arithmetic: for tests of what is asked, when, and how often. */
export function fakeEngine(log: FakeLog = fakeLog(), bytes = 1000): CoreEngine {
  const parse = (text: string): ParsedPolicy => {
    const [id, rest = ""] = text.split(":");
    const preset = /^preset=(.*)$/.exec(rest)?.[1];
    if (preset !== undefined) {
      const policy = FAKE_POLICIES.find((item) => item.id === id)!;
      const { values } = policy.presets.find(({ name }) => name === preset)!;
      return { id: policy.id, values, text: writePolicy({ policy, values }) };
    }
    const read = readPolicy(FAKE_CATALOGUE, text);
    if (read === null) throw new NativeError("E_POLICY_UNKNOWN", `no policy is called "${text}"; known: band`);
    return { id: read.policy.id, values: [...read.values], text: writePolicy(read) };
  };
  return {
    ...referenceEngine(),
    describePolicies: () => FAKE_CATALOGUE,
    parsePolicy: parse,
    scaledPreset(id, preset, length) {
      const policy = FAKE_POLICIES.find((item) => item.id === id)!;
      const found = policy.presets.find(({ name }) => name === preset)!;
      const values = found.values.map((value, i) => (policy.parameters[i]!.scales ? Math.round((value * length) / found.contextTokens) : value));
      return { id, values, text: writePolicy({ policy, values }) };
    },
    replay: (shape) => fakeReplay(shape, parse, log, bytes),
  };
}

function fakeReplay(shape: ReplayShape, parse: (text: string) => ParsedPolicy, log: FakeLog, bytes: number): HeadReplay {
  let left = 0, rows = new Uint32Array(), last = "";
  log.open++;
  const outcome = (text: string, { parts }: Pick<ReplayOptions, "parts">) => {
    const { id, values } = parse(text);
    const budget = id === "half-band" ? values[0]! / 2 : Math.min(1, values[0]! / shape.tokens);
    const all: Record<string, number> = {
      rows_evaluated: rows.length, rows_dense: 0, rows_covered: budget >= 1 ? rows.length : 0, recall_mean: Math.sqrt(budget), recall_se: 0.01, recall_p5: budget, kept_share: budget,
      ...(id === "recent" ? { kv_bytes: 1000 * budget } : { kernel_sparsity: 1 - budget }),
      ...(parts.error ? { error_mean: 1 - budget } : {}), ...(parts.detail ? { kept_word: budget } : {}),
    };
    return { policy: text, metrics: Float64Array.from(FAKE_CATALOGUE.metrics, ({ name }) => all[name] ?? Number.NaN) };
  };
  return {
    keys: ({ count }) => void (log.keys += count), values: () => undefined, pooledQueries: () => undefined, classes: () => undefined, needles: () => undefined,
    queries: (_dtype, _data, positions) => void (log.queries = positions.length),
    rows: (positions) => { rows = positions.slice(); log.rows = rows; left = rows.length; },
    strip: (count) => { log.strips++; return (left = Math.max(0, left - count)); },
    run: (policy, options) => { last = policy; log.runs.push(policy); return outcome(policy, options); },
    complete: (parts) => { log.completes++; return outcome(last, { parts }); },
    mask: (grid) => ({ kept: new Float32Array(grid.edge ** 2).fill(0.5), forced: new Float32Array(grid.edge ** 2), complete: new Uint8Array(grid.edge ** 2) }),
    keyFate: () => ({ kept: new Float32Array(shape.tokens), forced: new Float32Array(shape.tokens), missed: new Float32Array(shape.tokens) }),
    rowFate: () => ({ rows, recall: new Float32Array(rows.length), recallNoSinks: new Float32Array(rows.length), error: new Float32Array(rows.length), keptKeys: new Float32Array(rows.length) }),
    rowSpans: () => ({ kept: new Uint32Array(), forced: new Uint32Array(), weights: new Float32Array(), dense: false }),
    cosines: (bins) => ({ counts: new Float64Array(bins), mean: 0, deviation: 1, expectedShare: 0.1 }),
    planIndices: () => { throw new NativeError("E_REPLAY_ORDER", "nothing was run"); },
    runIndices: () => { throw new NativeError("E_REPLAY_ORDER", "nothing was run"); },
    get bytes() { return bytes; },
    free: () => { log.frees++; log.open--; },
  };
}
