import { useRef } from "react";
import type { Overview } from "../../lib/overview.ts";
import { number } from "../../lib/format.ts";
import { rowOfHead } from "../../lib/overview.ts";
import { useSize } from "../../lib/use-size.ts";
import { useHover } from "../../state/hover.ts";
import { useStore, useView } from "../../state/store.ts";
import { MetricSelect, SortControl } from "../home/grid-controls.tsx";
import { GridStatus } from "../home/grid-status.tsx";
import { useHeadMetric } from "../home/head-metric.ts";
import { HeadGrid, useGridPicture } from "../home/head-grid.tsx";

/** The whole model beside the map: hover tells, click chooses. */
export function Rail({ overview }: { overview: Overview }) {
  const store = useStore();
  const area = useRef<HTMLDivElement>(null);
  const size = useSize(area);
  return (
    <aside className="rail" aria-label="Heads">
      <div className="rail-controls">
        <MetricSelect />
        <SortControl />
        <GridStatus />
      </div>
      <div className="rail-grid" ref={area}>
        {size !== null && <RailGrid overview={overview} width={size.width - 16} />}
      </div>
      <RailReadout overview={overview} />
      <button type="button" className="plain rail-hide" onClick={() => store.set({ rail: false })}>Hide heads <kbd>H</kbd></button>
    </aside>
  );
}

function RailGrid({ overview, width }: { overview: Overview; width: number }) {
  return <HeadGrid picture={useGridPicture({ overview, width, largest: 48, smallest: 4 })} />;
}

function RailReadout({ overview }: { overview: Overview }) {
  const hovered = useHover((state) => state.head);
  const layer = useView((view) => view.layer);
  const head = useView((view) => view.head);
  const metric = useHeadMetric(overview);
  const shown = hovered ?? { layer, head };
  const row = rowOfHead(overview, shown.layer, shown.head);
  return (
    <p className="rail-readout num">
      <b>L{shown.layer} H{shown.head}</b>
      <span>{row < 0 ? "not captured" : `${metric.label} ${number(metric.values[row] as number)} ${metric.unit}`}</span>
    </p>
  );
}
