/** What the viewer shows, as one immutable value. Every key is listed in persist.ts with where it is saved. */
export interface ViewState {
  page: "home" | "head" | "kv" | "memory" | "timings";
  layer: number;
  head: number;
  /** Visible square of the map in tokens (first key, first query, side); null shows the whole sequence. */
  window: { key: number; query: number; span: number } | null;
  pooling: "mean" | "max" | "sum";
  colour: { scale: "log" | "linear"; low: number; high: number; map: string };
  /** Home and rail: what colours and sorts heads ("layer" keeps layer order): a statistic, or "policy:" and a policy metric. */
  metric: string;
  sort: "layer" | "ascending" | "descending";
  /** Marginal drawn beside the rows. */
  rowMarginal: "entropy" | "sink_mass" | "local_mass" | "top1_mass" | "coverage_95";
  /** Heads as real thumbnails, as one colour each by the metric, or (home) as a table of every statistic. */
  gridView: "thumbs" | "metric" | "table";
  /** KV page: tensor of the channel strip and the histogram, statistic of the strip, visible tokens (null: all). */
  kvTensor: "k" | "v";
  channelStat: "mean" | "absmax" | "variance";
  kvTokens: { begin: number; end: number } | null;
  rail: boolean;

  /** Policies A to D as texts ("vertical-slash:v=1000,s=6096"); "" where there is none. */
  policies: PolicyTexts;
  /** The one the panel unfolds, the token text is coloured by, and others are matched to. */
  activePolicy: PolicyIndex;
  policyPanel: boolean;
  /** Query rows that results rest on: the declared sample, or every stored one. */
  rowsMode: "sample" | "all";
  /** Tokens fed as prompt before retention and retrieval act; null: see defaultContext. Tokens a chunk of it; 0: in one piece. */
  context: number | null;
  chunk: number;

  /** Maps side by side. The first shows layer, head, window, colour; the second its own, except what is locked. */
  panes: 1 | 2;
  locks: { location: boolean; zoom: boolean; colour: boolean };
  layer2: number;
  head2: number;
  window2: ViewState["window"];
  colour2: ViewState["colour"];
  /** Policy laid over each map. */
  panePolicy: { first: PanePolicy; second: PanePolicy };
  /** The two panes as one picture: first minus second, log ratio, or one at a time. */
  compare: "none" | "difference" | "ratio" | "blink";
  blinkSide: "first" | "second";

  /** Under the map; its height in CSS pixels. */
  drawer: "closed" | "tradeoff" | "request" | "tokens" | "lsh";
  drawerHeight: number;
  /** Charts: what is lost (1 - recall, with or without sinks, or the output error) against bytes, or against keys. */
  chartLoss: "error" | "recall" | "recall_no_sinks";
  chartCost: "bytes" | "keys" | "time";
  /** Request chart: tokens generated after the prompt; what lies along it. */
  generated: number;
  requestCost: "bytes" | "time";

  /** Device whose timings count, on the Timings page, in the panel and in the charts, by its short name; "": the first with measurements. */
  device: string;
  /** Timings: operations of the main chart, and of them all phases added or attention alone. */
  timingGroup: "prefill" | "decode" | "parts";
  timingScope: "total" | "attention";
  /** Shape as "heads/kvHeads x headDim" ("32/8x128"), type, and how heads were launched; "": the first measured. */
  timingShape: string;
  timingDtype: "" | "f32" | "f16" | "bf16";
  timingBatching: "batched" | "perhead";
  /** Length the phases and the speed-up are shown at; null: the longest with all phases. */
  timingLength: number | null;
  /** Series of the main chart whose default, shown or hidden, is turned around: short names between dots. */
  timingSeries: string;
  timingView: "charts" | "table";
  /** Draws the bound that the device's peaks set, where its data sheet is known. */
  roofline: boolean;

  /** Memory: model by its short name or "capture", who runs it, how ("last.m4096.layer", see memory/scheme.ts), prompt and generated tokens, type of stored keys and values. */
  memory: { model: string; by: string; scheme: string; tokens: number; generated: number; kv: "model" | "int8" | "int4" };
  /** Row of the hardware table ("": the first), GiB that tensors may take (0: the device's), and how the allocator takes them. */
  memoryFit: { device: string; gib: number; segments: "fixed" | "expandable" };
  /** Schemes that stand beside it, between ";"; "-": none. */
  memoryPinned: string;
  /** Part of the timeline in sight, as shares of it; the event that the cursor stands at; its blocks below. */
  memoryWindow: { begin: number; end: number } | null;
  memoryCursor: number | null;
  memoryBlocks: boolean;
  theme: "system" | "light" | "dark";
}

export type PolicyIndex = 0 | 1 | 2 | 3;
export type PolicyTexts = readonly [string, string, string, string];
/** "active" follows the panel; a letter stays with its policy. */
export type PanePolicy = "active" | "none" | "a" | "b" | "c" | "d";

export const DEFAULT_VIEW: ViewState = {
  page: "home", layer: 0, head: 0, window: null, pooling: "mean",
  colour: { scale: "log", low: 1e-5, high: 1, map: "default" },
  metric: "entropy", sort: "layer", rowMarginal: "entropy", gridView: "thumbs",
  kvTensor: "k", channelStat: "absmax", kvTokens: null, rail: true,
  policies: ["", "", "", ""], activePolicy: 0, policyPanel: false, rowsMode: "sample", context: null, chunk: 0,
  panes: 1, locks: { location: true, zoom: true, colour: true }, layer2: 0, head2: 0, window2: null,
  colour2: { scale: "log", low: 1e-5, high: 1, map: "default" }, panePolicy: { first: "active", second: "none" },
  compare: "none", blinkSide: "first", drawer: "closed", drawerHeight: 240,
  chartLoss: "error", chartCost: "bytes", generated: 256, requestCost: "bytes",
  device: "", timingGroup: "prefill", timingScope: "total", timingShape: "", timingDtype: "", timingBatching: "batched", timingLength: null,
  timingSeries: "", timingView: "charts", roofline: false,
  memory: { model: "llama-3-8b", by: "hf-eager-fa2", scheme: "", tokens: 131_072, generated: 200, kv: "model" }, memoryFit: { device: "", gib: 0, segments: "fixed" },
  memoryPinned: "last.m4096;last.m4096.layer", memoryWindow: null, memoryCursor: null, memoryBlocks: false, theme: "system",
};
