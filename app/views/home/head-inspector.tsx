import { useLayoutEffect, useMemo, useRef } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { count, number } from "../../lib/format.ts";
import { rowOfHead, type Overview } from "../../lib/overview.ts";
import { STATISTICS, statisticRange } from "../../lib/statistics.ts";
import { context2d } from "../../marks/pixels.ts";
import { usePalette } from "../../marks/theme.ts";
import { useHover } from "../../state/hover.ts";
import { useStore, useView } from "../../state/store.ts";
import { isPolicyMetric } from "../../policies/use-model-grid.ts";
import { useHeadMetric } from "./head-metric.ts";
import { kvHeadOf } from "./grid-layout.ts";
import { usePixelRatio } from "./head-grid.tsx";
import { buildAtlas } from "./thumb-atlas.ts";

/** Largest side; every cell gets the same whole number of pixels. */
const LARGEST = 270;

/** The head under the pointer, or the chosen one: its thumbnail large, and where it stands among all heads. */
export function HeadInspector({ capture, overview, onOpen }: { capture: Capture; overview: Overview; onOpen: () => void }) {
  const store = useStore();
  const hovered = useHover((hover) => hover.head);
  const chosenLayer = useView((view) => view.layer);
  const chosenHead = useView((view) => view.head);
  const metric = useView((view) => view.metric);
  const policyMetric = useHeadMetric(overview);
  const { layer, head } = hovered ?? { layer: chosenLayer, head: chosenHead };
  const row = rowOfHead(overview, layer, head);
  const { statistics } = overview;
  const preview = hovered !== null && (layer !== chosenLayer || head !== chosenHead);
  return (
    <aside className="inspector" aria-label="Chosen head">
      <h2>
        <span className="num">L{layer} H{head}</span>
        <span className="quiet"> kv {kvHeadOf(head, overview.heads, overview.kvHeads)}</span>
        <span className="tag">{preview ? "preview" : "chosen"}</span>
      </h2>
      {row < 0 ? <p className="quiet">Layer {layer} was not finished in this run: nothing of it is captured.</p> : (
        <>
          <Thumbnail overview={overview} row={row} />
          <p className="caption">
            {overview.thumbs === null ? "no thumbnails in this capture"
              : <>queries ↓ keys →, prompt rows, pooled {count(overview.thumbs.cell[row] as number)} × {count(overview.thumbs.cell[row] as number)} tokens</>}
          </p>
          <table className="statistics">
            <thead><tr><th>Statistic</th><th>All heads</th><th className="num">This head</th></tr></thead>
            <tbody>
              {isPolicyMetric(metric) && (
                <tr className="current" title={`${policyMetric.doc} ${policyMetric.kind}, of the active policy`}>
                  <td>{policyMetric.label}</td>
                  <td><Spread values={policyMetric.values} row={row} range={policyMetric.range} /></td>
                  <td className="num">{number(policyMetric.values[row] as number)}<span className="unit">{policyMetric.unit}</span></td>
                </tr>
              )}
              {STATISTICS.map((item) => (
                <tr key={item.id} className={item.id === metric ? "current" : ""} title={item.doc}>
                  <td><button type="button" className="plain" aria-pressed={item.id === metric} onClick={() => store.set({ metric: item.id })}>{item.label}</button></td>
                  <td><Spread values={statistics[item.id]} row={row} range={statisticRange(item, statistics)} /></td>
                  <td className="num">{number(statistics[item.id][row] as number)}<span className="unit">{item.unit}</span></td>
                </tr>
              ))}
            </tbody>
          </table>
          <p className="caption">exact, mean over prompt rows from {count(capture.manifest.settings.statsFirstRow)}; keys: upper bound</p>
          <button type="button" className="wide" onClick={onOpen}>Open map <kbd>Enter</kbd></button>
        </>
      )}
    </aside>
  );
}

function Thumbnail({ overview, row }: { overview: Overview; row: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const palette = usePalette();
  const colour = useView((view) => view.colour);
  const pooling = useView((view) => (view.pooling === "max" ? "max" : "mean"));
  const ratio = usePixelRatio();
  const { thumbs } = overview;
  const single = useMemo(() => {
    if (thumbs === null) return null;
    const cells = thumbs.edge * thumbs.edge;
    const part = (values: Float32Array): Float32Array => values.subarray(row * cells, (row + 1) * cells);
    return buildAtlas({ ...thumbs, count: 1, cell: thumbs.cell.subarray(row), mean: part(thumbs.mean), max: part(thumbs.max) }, overview.promptTokens, pooling, colour, palette.name);
  }, [thumbs, overview, row, pooling, colour, palette]);
  const { side } = single?.at(0) ?? { side: 1 };
  const size = Math.floor(LARGEST / side) * side;
  useLayoutEffect(() => {
    if (canvas.current === null || single === null) return;
    canvas.current.width = canvas.current.height = Math.round(size * ratio);
    const context = context2d(canvas.current);
    context.imageSmoothingEnabled = false;
    context.drawImage(single.canvas, 0, 0, side, side, 0, 0, canvas.current.width, canvas.current.height);
  }, [single, side, size, ratio]);
  return single === null ? null : <canvas ref={canvas} className="thumbnail" role="img" aria-label="Attention map of this head" style={{ width: size, height: size }} />;
}

const SPREAD = { width: 88, height: 14 };

/** Every head as a hairline, this one as a full stroke. */
function Spread({ values, row, range: [low, high] }: { values: ArrayLike<number>; row: number; range: readonly [number, number] }) {
  const palette = usePalette();
  const x = (value: number): number => 1 + ((SPREAD.width - 2) * (value - low)) / (high - low);
  const others = useMemo(
    () => Array.from(values).filter(Number.isFinite).map((value) => `M${x(value).toFixed(1)},4V${SPREAD.height - 3}`).join(""),
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- x follows from low and high
    [values, low, high],
  );
  const own = values[row] as number;
  return (
    <svg width={SPREAD.width} height={SPREAD.height} aria-hidden="true">
      <path d={`M1,${SPREAD.height - 2.5}H${SPREAD.width - 1}`} stroke={palette.line} />
      <path d={others} stroke={palette.secondary} strokeOpacity={values.length > 200 ? 0.12 : 0.35} />
      {Number.isFinite(own) && <path d={`M${x(own).toFixed(1)},1V${SPREAD.height - 1}`} stroke={palette.series} strokeWidth={2} />}
    </svg>
  );
}
