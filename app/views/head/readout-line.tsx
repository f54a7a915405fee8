import { usePalette } from "../../marks/theme.ts";
import { useHover } from "../../state/hover.ts";
import { coarsestCell } from "../../tiles/level.ts";
import type { TileService } from "../../tiles/service.ts";
import type { Pooling } from "../../tiles/tile.ts";
import { fateOfPair, rowText } from "./fate-text.ts";
import { Legend } from "./legend.tsx";
import type { LegendItem } from "./legend-items.ts";
import { useLive } from "./live-map.ts";
import { indexText } from "./number-text.ts";
import type { ReadHead } from "./readout-panel.tsx";
import { readCell, readingText, type Pair } from "./readout.ts";
import { tokenLabel } from "./token-label.ts";

interface Props {
  service: TileService; edge: number; pooling: Pooling; pinned: Pair | null;
  heads: readonly (ReadHead & { label: string })[];
  items: readonly LegendItem[];
}

/** Where there is no room for the column: the pair under the pointer in one line, and what the looks mean. */
export function ReadoutLine({ service, edge, pooling, pinned, heads, items }: Props) {
  const palette = usePalette();
  const hovered = useHover((h) => h.pair);
  const pair = pinned ?? hovered;
  const token = (index: number) => {
    const known = service.tokens.at(index);
    return known === null ? "" : tokenLabel(known.text, 14);
  };
  return (
    <div className="head-line">
      <p><small>query</small> <b className="num">{pair === null ? "–" : indexText(pair.query)}</b> {pair !== null && token(pair.query)}</p>
      <p><small>key</small> <b className="num">{pair === null ? "–" : indexText(pair.key)}</b> {pair !== null && token(pair.key)}</p>
      {heads.map((read) => <LineValue key={read.label} {...read} service={service} edge={edge} pooling={pooling} pair={pair} />)}
      <Legend items={items} palette={palette} />
    </div>
  );
}

function LineValue({ service, edge, pooling, pair, label, layer, head, live, overlay }: Omit<Props, "heads" | "items" | "pinned"> & ReadHead & { label: string; pair: Pair | null }) {
  const cell = useLive(live).status?.cell ?? 1;
  const reading = pair === null ? null : readCell(pair, { layer, head, cell }, edge, coarsestCell(service.ladder(layer, head)), pooling, (a) => service.get(a));
  const text = reading === null ? null : readingText(reading);
  return (
    <p>
      <small>map {label}</small> <b className="num">{text?.value ?? "–"}</b> <small>{text?.kind ?? ""}</small>
      {overlay !== null && pair !== null && <><i className="policy-chip" style={{ background: overlay.hue }} />{fateOfPair(overlay, pair, { layer, head, cell }, edge)} <small>row {rowText(overlay, pair.query)}</small></>}
    </p>
  );
}
