import { useMemo, useRef, useState } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { useActions } from "../../actions/registry.ts";
import { count, number, tokenText } from "../../lib/format.ts";
import { useSize, type Size } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { useStore, useView } from "../../state/store.ts";
import { ProblemPanel } from "../shell/problem-panel.tsx";
import { Segmented } from "../shell/segmented.tsx";
import { KV_ACTIONS } from "./actions.ts";
import { ChannelPanel } from "./channel-panel.tsx";
import { stripHeight } from "./channel-strip.ts";
import { HistogramPanel } from "./histogram-panel.tsx";
import { KV_SERIES, useKvLayer, valueAt, type KvLayer } from "./kv-data.ts";
import { TokenPlotPanel } from "./token-plot-panel.tsx";
import { resolutionText, SERIES_SHORT, type TokenPlotProps } from "./token-plots.ts";

const HISTOGRAM_WIDTH = 280;
const PAD = 12;
/** Heading of the channels panel. */
const PANEL_HEAD = 32;

/** The cache of one layer: what is in the keys and values, token by token and channel by channel. */
export function KvView({ capture }: { capture: Capture }) {
  const store = useStore();
  const layer = useView((view) => view.layer);
  const head = useView((view) => view.head);
  const loaded = useKvLayer(capture, layer);
  const area = useRef<HTMLDivElement>(null);
  const size = useSize(area);
  const [token, setToken] = useState<number | null>(null);
  useActions(KV_ACTIONS);
  const { heads, kvHeads } = capture.manifest.model;
  const kvHead = capture.kvHead(head);
  const choose = (next: number): void => store.set({ head: next * (heads / kvHeads) });
  const options = useMemo(() => Array.from({ length: kvHeads }, (_, i) => ({ value: String(i), label: String(i) })), [kvHeads]);
  return (
    <section className="kv" aria-label="KV cache">
      <div className="toolbar">
        <h2>KV cache, layer {layer}</h2>
        {kvHeads <= 16
          ? <Segmented label="kv head" value={String(kvHead)} options={options} onChange={(value) => choose(Number(value))} />
          : <label className="field"><span>kv head</span><select value={kvHead} onChange={(event) => choose(Number(event.target.value))}>{options.map(({ value }) => <option key={value}>{value}</option>)}</select></label>}
        <span className="quiet">post-RoPE, as cached; read by H{kvHead * (heads / kvHeads)}{heads === kvHeads ? "" : `–H${(kvHead + 1) * (heads / kvHeads) - 1}`}</span>
      </div>
      <div className={`kv-body${loaded.state === "stale" ? " stale" : ""}`} ref={area}>
        {loaded.state === "failed" && <ProblemPanel error={loaded.error} />}
        {loaded.value !== null && size !== null && (
          <KvPanels data={loaded.value} kvHead={kvHead} total={capture.totalTokens} size={size} token={token} onToken={setToken} onKvHead={choose} />
        )}
      </div>
    </section>
  );
}

function KvPanels({ data, kvHead, total, size, token, onToken, onKvHead }: {
  data: KvLayer;
  kvHead: number;
  total: number;
  size: Size;
  token: number | null;
  onToken: (token: number | null) => void;
  onKvHead: (kvHead: number) => void;
}) {
  const palette = usePalette();
  const range = useView((view) => view.kvTokens);
  const strip = data.channels === null ? 0 : stripHeight(data.channels.count) + PANEL_HEAD + 8;
  // 28: the line that tells what is under the pointer. Below 320 px the page scrolls rather than squeezing the plots.
  const height = Math.max(320, size.height - 28 - strip - PAD);
  const width = Math.max(360, size.width - HISTOGRAM_WIDTH - 3 * PAD);
  const begin = range?.begin ?? 0;
  const end = range?.end ?? total;
  const plot = useMemo<TokenPlotProps>(() => ({ palette, data, kvHead, begin, end, width, height }), [palette, data, kvHead, begin, end, width, height]);
  return (
    <>
      <TokenReadout plot={plot} token={token} />
      <div className="kv-row">
        <TokenPlotPanel plot={plot} total={total} token={token} onToken={onToken} />
        <HistogramPanel data={data} kvHead={kvHead} token={token} width={HISTOGRAM_WIDTH} height={Math.min(height, 720)} />
      </div>
      {data.channels !== null && <ChannelPanel data={data} channels={data.channels} kvHead={kvHead} width={size.width - 2 * PAD} onKvHead={onKvHead} />}
    </>
  );
}

/** One line that keeps its place: what is drawn, or the values of the token under the pointer. */
function TokenReadout({ plot, token }: { plot: TokenPlotProps; token: number | null }) {
  const { data, kvHead, begin, end } = plot;
  const head = data.heads[kvHead];
  if (token === null || head === undefined) {
    return (
      <p className="kv-readout num">
        <span>tokens {count(begin)}–{count(end - 1)}</span><span className="tag">{resolutionText(plot)}</span>
        {data.heads.length > 1 && <span className="quiet">kv {kvHead} in colour, the others grey</span>}
      </p>
    );
  }
  const needle = data.needles.find((item) => token >= item.token_begin && token < item.token_end);
  return (
    <p className="kv-readout num" data-testid="kv-readout">
      <span>token <b>{count(token)}</b></span>
      <code className="token-text">{tokenText(data.tokens.text[token] ?? "")}</code>
      <span className="quiet">{data.tokens.phase[token]}{needle === undefined ? "" : `, needle ${needle.label}`}</span>
      {KV_SERIES.map((series) => {
        const value = valueAt(head, series, token);
        return <span key={series}><span className="quiet">{SERIES_SHORT[series]}</span> <b>{Number.isNaN(value) ? "no reference" : number(value)}</b></span>;
      })}
      <span className="tag">exact</span>
    </p>
  );
}
