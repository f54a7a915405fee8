import { useRef, type KeyboardEvent, type PointerEvent } from "react";
import { cssColour, position, type ColourScale } from "../../marks/colour.ts";
import { COLOUR_MAPS } from "../../marks/colour-maps.ts";
import { usePalette } from "../../marks/theme.ts";
import { DEFAULT_VIEW } from "../../state/view-state.ts";
import { Segmented } from "../shell/segmented.tsx";
import type { Pooling } from "../../tiles/tile.ts";
import { barDomain, fromBar, moveRange, toBar, type BarPart } from "./colour-range.ts";
import { barOf } from "./figure-legend.ts";
import { tickText } from "./number-text.ts";
import type { PaneComparison } from "./overlay.ts";

const SCALES = [{ value: "log", label: "Log" }, { value: "linear", label: "Linear" }] as const;
const STOPS = 48;
/** Share of the bar that an arrow key moves an end by; with Shift five times that. */
const KEY_STEP = 0.0125;

interface Props {
  total: number; colour: ColourScale; pooling: Pooling;
  comparison: PaneComparison | null; head: { layer: number; head: number };
  /** Changes of one gesture are one step of undo. */
  onChange(colour: ColourScale, gesture?: string): void;
}

/** The colour bar is the brush of its own range: drag an end, drag between them, double-click to reset. */
export function ColourBar({ total, colour, pooling, comparison, head, onChange }: Props) {
  const palette = usePalette();
  const bar = useRef<HTMLDivElement>(null);
  const drag = useRef<{ part: BarPart; x: number; range: { low: number; high: number } } | null>(null);
  const domain = barDomain(colour.scale, pooling, total);
  const stops = Array.from({ length: STOPS + 1 }, (_, i) => {
    const at = i / STOPS;
    return `${cssColour(position(fromBar(at, domain), colour), colour.map, palette.name)} ${(at * 100).toFixed(2)}%`;
  });
  const setRange = (range: { low: number; high: number }) => onChange({ ...colour, ...range }, "colour");
  const reset = () => onChange({ ...colour, low: colour.scale === "log" ? DEFAULT_VIEW.colour.low : 0, high: pooling === "sum" ? domain.high : 1 });

  const down = (part: BarPart) => (event: PointerEvent<HTMLElement>) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    drag.current = { part, x: event.clientX, range: { low: colour.low, high: colour.high } };
    event.stopPropagation();
  };
  const move = (event: PointerEvent<HTMLElement>) => {
    const width = bar.current?.clientWidth ?? 0;
    if (drag.current === null || width === 0) return;
    setRange(moveRange(drag.current.range, drag.current.part, (event.clientX - drag.current.x) / width, domain));
  };
  const up = () => { drag.current = null; };
  const press = (part: BarPart) => (event: KeyboardEvent) => {
    const step = KEY_STEP * (event.shiftKey ? 5 : 1);
    const by = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, Home: -1, End: 1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    setRange(moveRange(colour, part, by, domain));
  };
  const handle = (part: "low" | "high") => (
    <div className="head-bar-handle" role="slider" tabIndex={0} style={{ left: `${toBar(colour[part], domain) * 100}%` }}
      aria-label={part === "low" ? "Lower end of the colour range" : "Upper end of the colour range"}
      aria-valuemin={domain.low} aria-valuemax={domain.high} aria-valuenow={colour[part]} aria-valuetext={tickText(colour[part])}
      onPointerDown={down(part)} onPointerMove={move} onPointerUp={up} onKeyDown={press(part)} />
  );
  const low = toBar(colour.low, domain), high = toBar(colour.high, domain);
  const ticks = colour.scale === "log" ? [1e-8, 1e-6, 1e-4, 1e-2, 1, 1e2, 1e4, 1e6].filter((t) => t <= domain.high) : [0, 0.25, 0.5, 0.75, 1].map((t) => t * domain.high);

  const compared = comparison !== null && comparison.mode !== "blink" ? barOf({ palette, colour, pooling, head, comparison }) : null;

  return (
    <div className="head-colour">
      {compared !== null && (
        <>
          <p className="head-kind">{compared.text}</p>
          <div className="head-bar-compared" style={{ background: `linear-gradient(90deg, ${Array.from({ length: 25 }, (_, i) => compared.colourAt(i / 24)).join(", ")})` }} />
          <div className="head-colour-range">{compared.ticks.map((tick) => <span key={tick}>{tick}</span>)}</div>
        </>
      )}
      <div className="head-colour-range"><span>{tickText(colour.low)}</span><span>{tickText(colour.high)}</span></div>
      <div className="head-bar" ref={bar} style={{ background: `linear-gradient(90deg, ${stops.join(", ")})` }} onDoubleClick={reset} title="Drag the ends or between them; double-click resets">
        <div className="head-bar-middle" style={{ left: `${low * 100}%`, width: `${(high - low) * 100}%` }} onPointerDown={down("both")} onPointerMove={move} onPointerUp={up} />
        {handle("low")}
        {handle("high")}
      </div>
      <div className="head-bar-ticks">{ticks.map((t) => <span key={t} style={{ left: `${toBar(t, domain) * 100}%` }}>{colour.scale === "log" ? powerText(t) : tickText(t)}</span>)}</div>
      <div className="head-row">
        <Segmented label="Colour scale" hideLabel value={colour.scale} options={SCALES}
          onChange={(scale) => onChange({ ...colour, scale, low: scale === "log" ? DEFAULT_VIEW.colour.low : 0 })} />
        <label className="field"><span>Map</span> <select value={colour.map} onChange={(event) => onChange({ ...colour, map: event.target.value })}>
          {COLOUR_MAPS.map((map) => <option key={map.id} value={map.id}>{map.label}</option>)}
        </select></label>
      </div>
    </div>
  );
}

const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const powerText = (value: number): string => {
  const power = Math.round(Math.log10(value));
  return power === 0 ? "1" : `10${power < 0 ? "⁻" : ""}${[...String(Math.abs(power))].map((d) => SUPERSCRIPT[Number(d)]).join("")}`;
};
