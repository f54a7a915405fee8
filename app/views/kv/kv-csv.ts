import { csvRow } from "../../lib/format.ts";
import type { Bin } from "../../marks/histogram.ts";
import { KV_SERIES, valueAt, type KvLayer } from "./kv-data.ts";
import type { TokenRange } from "./token-window.ts";

/** Every visible token of every kv head: what the lines go through, not what fits on the screen. */
export function seriesCsv(data: KvLayer, { begin, end }: TokenRange): string {
  const parts = [csvRow(["layer", "kv_head", "token", "text", "phase", ...KV_SERIES])];
  for (const [kvHead, head] of data.heads.entries()) {
    for (let token = Math.max(begin, head.first); token < Math.min(end, head.first + head.count); token++) {
      parts.push(csvRow([data.layer, kvHead, token, data.tokens.text[token] ?? "", data.tokens.phase[token] ?? "", ...KV_SERIES.map((series) => valueAt(head, series, token))]));
    }
  }
  return parts.join("");
}

export function channelsCsv({ layer, channels }: KvLayer): string {
  const columns = ["k_mean", "k_absmax", "k_variance", "v_mean", "v_absmax", "v_variance"] as const;
  const parts = [csvRow(["layer", "kv_head", "channel", ...columns, "k_outlier_share", "v_outlier_share"])];
  if (channels === null) return parts.join("");
  for (let kvHead = 0; kvHead < channels.count; kvHead++) {
    for (let channel = 0; channel < channels.dim; channel++) {
      parts.push(csvRow([
        layer, kvHead, channel, ...columns.map((column) => channels[column][kvHead * channels.dim + channel] as number),
        channels.k_outlier_share[kvHead] as number, channels.v_outlier_share[kvHead] as number,
      ]));
    }
  }
  return parts.join("");
}

export function histogramCsv(layer: number, kvHead: number, bins: Readonly<Record<"k_norm" | "v_norm", readonly Bin[]>>): string {
  const rows = (["k_norm", "v_norm"] as const).flatMap((series) => bins[series].map((bin) => csvRow([layer, kvHead, series, bin.from, bin.to, bin.count])));
  return csvRow(["layer", "kv_head", "series", "from", "to", "tokens"]) + rows.join("");
}
