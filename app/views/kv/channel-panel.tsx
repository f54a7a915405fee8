import { useCallback, useMemo, useState } from "react";
import type { ChannelColumns } from "../../../data/reader/capture-types.ts";
import { usePane } from "../../figure/pane.ts";
import { number } from "../../lib/format.ts";
import { usePalette } from "../../marks/theme.ts";
import { useStore, useView } from "../../state/store.ts";
import { Mark } from "../shell/mark.tsx";
import { Segmented } from "../shell/segmented.tsx";
import { channelColours, channelValues, drawChannelStrip, rowHeight, STRIP_LEFT, stripHeight, stripWidth, type ChannelStripProps } from "./channel-strip.ts";
import { channelsCsv } from "./kv-csv.ts";
import type { KvLayer } from "./kv-data.ts";

/** One row a kv head, one column a channel: which channels are large, and in which heads. */
export function ChannelPanel({ data, channels, kvHead, width, onKvHead }: {
  data: KvLayer;
  channels: ChannelColumns;
  kvHead: number;
  width: number;
  onKvHead: (kvHead: number) => void;
}) {
  const store = useStore();
  const palette = usePalette();
  const tensor = useView((view) => view.kvTensor);
  const stat = useView((view) => view.channelStat);
  const map = useView((view) => view.colour.map);
  const [under, setUnder] = useState<{ channel: number; kvHead: number } | null>(null);
  const props = useMemo<ChannelStripProps>(() => ({ palette, channels, tensor, stat, map, kvHead, width }), [palette, channels, tensor, stat, map, kvHead, width]);
  const draw = useCallback((g: SVGGElement) => drawChannelStrip(g, props), [props]);
  const height = stripHeight(channels.count);
  const name = `${stat === "absmax" ? "largest absolute value" : stat} of ${tensor} by channel`;
  usePane({
    id: "kv-channels", title: "Channels",
    toFigure: () => Promise.resolve({ width, height, theme: palette.name, title: `Layer ${data.layer}: ${name}`, draw: (g) => drawChannelStrip(g, props) }),
    toCsv: () => Promise.resolve(channelsCsv(data)),
  });
  const { colour, at, low, high } = channelColours(props);
  const gradient = `linear-gradient(to right, ${Array.from({ length: 13 }, (_, i) => `rgb(${colour(at(i / 12)).map(Math.round).join(",")})`).join(",")})`;
  const cellAt = (event: React.MouseEvent): typeof under => {
    const box = event.currentTarget.getBoundingClientRect();
    const channel = Math.floor(((event.clientX - box.left - STRIP_LEFT) / stripWidth(width)) * channels.dim);
    const row = Math.floor((event.clientY - box.top - 8) / rowHeight(channels.count));
    return channel < 0 || channel >= channels.dim || row < 0 || row >= channels.count ? null : { channel, kvHead: row };
  };
  return (
    <section className="channels" aria-label="Channels">
      <div className="panel-head">
        <h3>Channels</h3>
        <Segmented label="of" value={tensor} onChange={(value) => store.set({ kvTensor: value })} options={[{ value: "k", label: "Keys" }, { value: "v", label: "Values" }]} />
        <Segmented
          label="show" value={stat} onChange={(value) => store.set({ channelStat: value })}
          options={[{ value: "absmax", label: "Largest", title: "Largest absolute value" }, { value: "mean", label: "Mean" }, { value: "variance", label: "Variance" }]}
        />
        <span className="readout num">
          {under === null ? "" : <>kv {under.kvHead} · channel {under.channel} · <b>{number(channelValues(props)[under.kvHead * channels.dim + under.channel] as number)}</b> <span className="quiet">exact</span></>}
        </span>
        <span className="legend"><span>{stat === "mean" ? "linear" : "log"}</span><span className="num">{number(low)}</span><span className="ramp" style={{ background: gradient }} /><span className="num">{number(high)}</span></span>
      </div>
      <svg
        width={width} height={height} role="img" aria-label={name} data-testid="kv-channels"
        onMouseMove={(event) => setUnder(cellAt(event))} onMouseLeave={() => setUnder(null)}
        onClick={(event) => {
          const cell = cellAt(event);
          if (cell !== null) onKvHead(cell.kvHead);
        }}
      >
        <Mark draw={draw} />
      </svg>
    </section>
  );
}
