import { useCallback, useMemo } from "react";
import { usePane } from "../../figure/pane.ts";
import { translate, part } from "../../marks/attributes.ts";
import { histogram, histogramBins, type Bin } from "../../marks/histogram.ts";
import type { Palette } from "../../marks/palette.ts";
import { usePalette } from "../../marks/theme.ts";
import { Mark } from "../shell/mark.tsx";
import { histogramCsv } from "./kv-csv.ts";
import { valueAt, type KvLayer } from "./kv-data.ts";

/** About one bar each 8 pixels. */
const BINS = 28;

interface HistogramsProps {
  palette: Palette;
  bins: Readonly<Record<"k_norm" | "v_norm", readonly Bin[]>>;
  marked: Readonly<Record<"k_norm" | "v_norm", number>> | null;
  width: number;
  height: number;
}

/** Distribution of both norms over all tokens of the chosen kv head; the token under the pointer is marked. */
export function HistogramPanel({ data, kvHead, token, width, height }: { data: KvLayer; kvHead: number; token: number | null; width: number; height: number }) {
  const palette = usePalette();
  const head = data.heads[kvHead];
  const bins = useMemo(() => ({
    k_norm: head === undefined ? [] : histogramBins(head.k_norm, BINS), v_norm: head === undefined ? [] : histogramBins(head.v_norm, BINS),
  }), [head]);
  const marked = useMemo(
    () => (token === null || head === undefined ? null : { k_norm: valueAt(head, "k_norm", token), v_norm: valueAt(head, "v_norm", token) }),
    [head, token],
  );
  const draw = useCallback((g: SVGGElement) => drawHistograms(g, { palette, bins, marked, width, height }), [palette, bins, marked, width, height]);
  usePane({
    id: "kv-histograms", title: "Distribution of norms",
    toFigure: () => Promise.resolve({
      width, height, theme: palette.name, title: `Layer ${data.layer}, kv head ${kvHead}: distribution of key and value norms`,
      draw: (g) => drawHistograms(g, { palette, bins, marked: null, width, height }),
    }),
    toCsv: () => Promise.resolve(histogramCsv(data.layer, kvHead, bins)),
  });
  return <svg width={width} height={height} role="img" aria-label="Distribution of key and value norms" data-testid="kv-histograms"><Mark draw={draw} /></svg>;
}

function drawHistograms(g: SVGGElement, { palette, bins, marked, width, height }: HistogramsProps): void {
  const each = Math.floor(height / 2);
  for (const [i, series] of (["k_norm", "v_norm"] as const).entries()) {
    histogram(translate(part(g, series), 0, i * each), {
      palette, bins: bins[series], width, height: each, label: series === "k_norm" ? "key norm" : "value norm", title: "tokens", marked: marked?.[series] ?? null,
    });
  }
}
