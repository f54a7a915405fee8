import type { Ref } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import type { ColourScale } from "../../marks/colour.ts";
import { usePalette } from "../../marks/theme.ts";
import type { MapWindow } from "../../tiles/geometry.ts";
import type { TileService } from "../../tiles/service.ts";
import type { Pooling } from "../../tiles/tile.ts";
import type { RowStatistic } from "../../workers/protocol.ts";
import type { PaneParts } from "../panes/use-pane-parts.ts";
import { ColourBar } from "./colour-bar.tsx";
import { HeadStatistics } from "./head-statistics.tsx";
import { Legend } from "./legend.tsx";
import { legendItems } from "./legend-items.ts";
import type { LiveMap } from "./live-map.ts";
import { WindowText } from "./map-texts.tsx";
import { Minimap, type MinimapHandle } from "./minimap.tsx";
import type { PaneComparison } from "./overlay.ts";
import { ReadoutPanel, type ReadHead } from "./readout-panel.tsx";
import type { Pair } from "./readout.ts";

interface Props {
  capture: Capture; service: TileService | null;
  parts: PaneParts; live: LiveMap; label: string;
  other: (ReadHead & { label: string }) | null;
  comparison: PaneComparison | null;
  pooling: Pooling; rowMarginal: RowStatistic;
  pinned: Pair | null;
  width: number;
  minimap: Ref<MinimapHandle>;
  onColour(colour: ColourScale, gesture?: string): void;
  onFit(): void; onMove(window: MapWindow): void; onMoved(): void;
}

/** Beside the maps: what is under the pointer, colours and their meaning, where one is, and the head in numbers. */
export function HeadSide({ capture, service, parts, live, label, other, comparison, pooling, rowMarginal, pinned, width, minimap, onColour, onFit, onMove, onMoved }: Props) {
  const palette = usePalette();
  const { model: { layer, head, colour }, data, overlay } = parts;
  const total = capture.totalTokens;
  const items = legendItems({ palette, colour, needles: data.needles.length > 0, phases: data.phases, overlay, comparison });
  return (
    <aside className="head-side" style={{ width }} data-narrow={width < 260}>
      {service !== null && <ReadoutPanel service={service} edge={capture.manifest.settings.tileEdge} pooling={pooling} rowMarginal={rowMarginal}
        shown={{ layer, head, live, overlay, label }} other={other} marginals={data.marginals} pinned={pinned} />}
      <h2>Colour</h2>
      <ColourBar total={total} colour={colour} pooling={pooling} comparison={comparison} head={{ layer, head }} onChange={onColour} />
      <Legend palette={palette} items={items} />
      <h2>Where</h2>
      <div className="head-where">
        {service !== null && <Minimap service={service} layer={layer} head={head} total={total} palette={palette} handle={minimap} pooling={pooling} colour={colour}
          onMove={onMove} onMoved={onMoved} />}
        <WindowText live={live} total={total} onFit={onFit} />
      </div>
      <h2>This head, means over prompt rows</h2>
      <HeadStatistics capture={capture} layer={layer} head={head} />
    </aside>
  );
}
