import { useRef } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import type { Overview } from "../../lib/overview.ts";
import { useSize } from "../../lib/use-size.ts";
import { useStore, useView } from "../../state/store.ts";
import { Segmented } from "../shell/segmented.tsx";
import { ColourLegend } from "./colour-legend.tsx";
import { MetricSelect, PoolingControl, SortControl } from "./grid-controls.tsx";
import { useGridPane } from "./grid-pane.ts";
import { GridStatus } from "./grid-status.tsx";
import { HeadGrid, useGridPicture } from "./head-grid.tsx";
import { HeadInspector } from "./head-inspector.tsx";
import { StatisticsTable } from "./statistics-table.tsx";

/** The whole model in one look: every head as a thumbnail or a colour, ranked or by layer, one of them in detail. */
export function HomeView({ capture, overview }: { capture: Capture; overview: Overview }) {
  const store = useStore();
  const gridView = useView((view) => view.gridView);
  const area = useRef<HTMLDivElement>(null);
  const size = useSize(area);
  const open = (): void => store.set({ page: "head" });
  return (
    <div className="home">
      <section className="home-main" aria-label="Heads">
        <div className="toolbar">
          <Segmented
            label="Heads as" hideLabel value={gridView} onChange={(value) => store.set({ gridView: value })}
            options={[
              { value: "thumbs", label: "Thumbnails", title: "The attention map of every head at 32 x 32 cells" },
              { value: "metric", label: "Metric", title: "One colour a head" },
              { value: "table", label: "Table", title: "Every statistic of every head" },
            ]}
          />
          <MetricSelect />
          <SortControl />
          {gridView === "thumbs" && <PoolingControl />}
          <GridStatus />
          <ColourLegend overview={overview} />
        </div>
        {gridView === "table"
          ? <StatisticsTable overview={overview} onOpen={open} />
          : <div className="home-grid" ref={area}>{size !== null && <SizedGrid overview={overview} width={size.width - 32} height={size.height - 32} onOpen={open} />}</div>}
      </section>
      <HeadInspector capture={capture} overview={overview} onOpen={open} />
    </div>
  );
}

function SizedGrid({ overview, width, height, onOpen }: { overview: Overview; width: number; height: number; onOpen: () => void }) {
  const picture = useGridPicture({ overview, width, height, largest: 256, smallest: 14 });
  useGridPane(picture);
  return <HeadGrid picture={picture} onOpen={onOpen} />;
}
