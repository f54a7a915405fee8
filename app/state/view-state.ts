/** What the viewer shows, as one immutable value. Every key is listed in persist.ts with where it is saved. */
export interface ViewState {
  page: "home" | "head" | "kv";
  layer: number;
  head: number;
  /** Visible square of the map in tokens (first key, first query, side); null shows the whole sequence. */
  window: { key: number; query: number; span: number } | null;
  pooling: "mean" | "max" | "sum";
  colour: { scale: "log" | "linear"; low: number; high: number; map: string };
  /** Home and rail: statistic that colours and sorts heads ("layer" keeps layer order). */
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
  theme: "system" | "light" | "dark";
}

export const DEFAULT_VIEW: ViewState = {
  page: "home", layer: 0, head: 0, window: null, pooling: "mean",
  colour: { scale: "log", low: 1e-5, high: 1, map: "default" },
  metric: "entropy", sort: "layer", rowMarginal: "entropy", gridView: "thumbs",
  kvTensor: "k", channelStat: "absmax", kvTokens: null, rail: true, theme: "system",
};
