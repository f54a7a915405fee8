import { pointer, select, type Selection } from "d3-selection";
import "d3-transition";
import { zoom, zoomIdentity, type D3ZoomEvent, type ZoomBehavior } from "d3-zoom";
import { busy } from "../../lib/idle.ts";
import type { ColourScale } from "../../marks/colour.ts";
import { LookBook, type Look } from "../../marks/look.ts";
import { MatrixPainter, tilesToPaint, type PaintInput } from "../../marks/matrix-painter.ts";
import { context2d } from "../../marks/pixels.ts";
import { clampWindow, maxZoom, sameWindow, tokenAt, transformOf, windowOf, type MapWindow } from "../../tiles/geometry.ts";
import { chooseCell, coarsestCell, parentTile } from "../../tiles/level.ts";
import type { TileService } from "../../tiles/service.ts";
import type { TileSight } from "../../tiles/sight.ts";
import { mapStatus, type MapStatus } from "../../tiles/status.ts";
import { tileKey, type Pooling, type TileAddress } from "../../tiles/tile.ts";
import { canvasPen } from "./canvas-pen.ts";
import { drawCrosshair } from "./draw-crosshair.ts";
import { drawPlot } from "./draw-plot.ts";
import type { Pair } from "./readout.ts";
import { lookOf, type PaneComparison, type PaneOverlay } from "./overlay.ts";
import type { PlotScene } from "./scene.ts";

export interface MapProps {
  layer: number; head: number;
  /** Without its window, which the controller owns while a gesture runs. */
  scene: PlotScene;
  pooling: Pooling;
  colour: ColourScale;
  /** The policy laid over the map. */
  overlay: PaneOverlay | null;
  /** The other map that this one is compared with. */
  comparison: PaneComparison | null;
}

export interface MapCallbacks {
  /** A gesture moved the map; called each frame, unlike `settled`. */
  moved(window: MapWindow): void;
  /** A gesture ended here. */
  settled(window: MapWindow): void;
  hovered(pair: Pair | null): void;
  clicked(pair: Pair): void;
  status(status: MapStatus, window: MapWindow): void;
}

/** A mask that takes longer than this dims the last one: sooner it would only flicker. */
export const LATE_MS = 150;
const LATE_VEIL = 0.35;

/** Times of the last frames' work on the main thread, for the statistics and the benchmark. */
const FRAME_HISTORY = 240;

/** Owns the two canvases and the zoom behaviour of one map. React gives it props; pixels never pass through React. */
export class MapController {
  readonly frames: number[] = [];
  readonly painter = new MatrixPainter();
  /** Its part of the service. */
  readonly sight: TileSight;
  /** The compared map's part, where there is one. */
  private twin: TileSight | null = null;
  private readonly looks = new LookBook();
  private lateTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly zoom: ZoomBehavior<HTMLDivElement, unknown>;
  private readonly hit: Selection<HTMLDivElement, unknown, null, undefined>;
  private props: MapProps | null = null;
  private window: MapWindow = { key: 0, query: 0, span: 1 };
  private frame = 0;
  private plotDirty = true;
  private cross: { pair: Pair | null; pinned: boolean } = { pair: null, pinned: false };
  /** The window that view state holds because of our own gesture: its echo must not move the map back. */
  private reported: MapWindow | null = null;
  private endWork: (() => void) | null = null;
  private silent = false;
  private pictured = false;
  /** A gesture is under way. */
  private moving = false;
  /** Something is drawn on the overlay. */
  private crossed = false;
  private sized = "";
  private lastStatus = "";

  constructor(
    private readonly plot: HTMLCanvasElement, private readonly overlay: HTMLCanvasElement, hit: HTMLDivElement,
    private readonly service: TileService, private readonly callbacks: MapCallbacks,
  ) {
    this.hit = select(hit);
    this.sight = service.sight();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.zoom = zoom<HTMLDivElement, unknown>().duration(still ? 0 : 120)
      .on("zoom", (event: D3ZoomEvent<HTMLDivElement, unknown>) => this.zoomed(event))
      .on("end", () => {
        if (this.silent) return;
        this.moving = false;
        this.request();
        this.callbacks.settled(this.window);
      });
    addEventListener("keydown", this.beforeKey, true);
    this.hit.call(this.zoom)
      // While dragging the same pair stays under the pointer; saying so again would only cost the frame time.
      .on("pointermove.cross", (event: PointerEvent) => { if (event.buttons === 0) this.callbacks.hovered(this.pairAt(event)); })
      .on("pointerleave.cross", () => { this.callbacks.hovered(null); })
      .on("click.pin", (event: PointerEvent) => { const pair = this.pairAt(event); if (pair !== null) this.callbacks.clicked(pair); });
  }

  /** View state may still wait for the end of a wheel's turn; a key goes on from what is on screen. */
  private readonly beforeKey = (): void => {
    if (this.moving) this.settle();
  };

  /** Takes what React knows; a window that differs from the one on screen moves the map. */
  update(props: MapProps): void {
    const last = this.props;
    this.props = props;
    const { total, layout } = props.scene;
    const side = layout.side;
    if (last === null || last.scene.layout.side !== side || last.scene.total !== total) {
      this.zoom.extent([[0, 0], [side, side]]).translateExtent([[0, 0], [side, side]]).scaleExtent([1, maxZoom(total)]);
      this.window = { key: Number.NaN, query: 0, span: 1 };
    }
    const wanted = clampWindow(props.scene.window, total);
    const echo = this.reported !== null && sameWindow(this.reported, wanted) && !Number.isNaN(this.window.key);
    if (!echo) {
      this.reported = wanted;
      if (!sameWindow(this.window, wanted)) this.place(wanted);
    }
    this.redraw();
  }

  /** Says which window view state is about to hold because of a gesture here. */
  report(window: MapWindow): void { this.reported = window; }

  /** Shows another window at once; view state learns of it from the caller, when the gesture ends. */
  goTo(window: MapWindow): void {
    if (this.props === null) return;
    this.place(clampWindow(window, this.props.scene.total));
    this.redraw();
  }

  /** Ends what goTo began. */
  settle(): void { this.callbacks.settled(this.window); }

  /** Moves the crosshair; the plot itself is not drawn again. */
  point(pair: Pair | null, pinned: boolean): void {
    this.cross = { pair, pinned };
    this.request();
  }

  redraw(): void {
    this.plotDirty = true;
    this.request();
  }

  private request(): void {
    if (this.frame !== 0) return;
    this.endWork ??= busy.begin();
    this.frame = requestAnimationFrame(() => this.draw());
  }

  destroy(): void {
    cancelAnimationFrame(this.frame);
    removeEventListener("keydown", this.beforeKey, true);
    this.endWork?.();
    this.endWork = null;
    this.hit.on(".zoom", null).on(".cross", null).on(".pin", null);
    clearTimeout(this.lateTimer);
    this.service.release(this.sight);
    if (this.twin !== null) this.service.release(this.twin);
  }

  /** What is on screen at this moment; null before the first frame. */
  sceneNow(): PlotScene | null { return this.props === null ? null : this.sceneOf(this.props); }

  /** The parts of the service whose tiles the picture needs. */
  get sights(): readonly TileSight[] { return this.twin === null ? [this.sight] : [this.sight, this.twin]; }

  private sceneOf({ scene, overlay, colour }: MapProps): PlotScene {
    const fate = overlay?.masks.fate ?? null;
    return { ...scene, window: this.window, fate: fate === null || overlay === null ? null : { keys: fate.keys, hue: overlay.hue, colour } };
  }

  /** Bytes and times, for the statistics panel and tests. */
  stats() {
    const sorted = this.frames.toSorted((a, b) => a - b);
    return { tiles: this.service.stats(), coloured: this.painter.stats(), frames: sorted.length, frameP95Ms: sorted[Math.floor(0.95 * (sorted.length - 1))] ?? 0 };
  }

  private place(window: MapWindow): void {
    const { total, layout } = this.props!.scene;
    const { k, x, y } = transformOf(window, total, layout.side);
    this.window = window;
    this.silent = true;
    this.hit.interrupt();
    this.zoom.transform(this.hit, zoomIdentity.translate(x, y).scale(k));
    this.silent = false;
  }

  private zoomed(event: D3ZoomEvent<HTMLDivElement, unknown>): void {
    if (this.silent || this.props === null) return;
    const { total, layout } = this.props.scene;
    this.window = clampWindow(windowOf(event.transform, total, layout.side), total);
    this.moving = true;
    this.callbacks.moved(this.window);
    this.redraw();
  }

  private pairAt(event: PointerEvent): Pair | null {
    if (this.props === null) return null;
    const [x, y] = pointer(event, this.hit.node());
    return tokenAt(this.window, this.props.scene.layout.side, x, y, this.props.scene.total);
  }

  private draw(): void {
    this.frame = 0;
    const props = this.props;
    if (props === null) return;
    const started = performance.now();
    const scene = this.sceneOf(props);
    const ratio = this.resize(scene);
    this.drawCross(scene, ratio);
    if (this.plotDirty) {
      this.plotDirty = false;
      this.drawMap(props, scene, ratio);
    }
    this.frames.push(performance.now() - started);
    if (this.frames.length > FRAME_HISTORY) this.frames.shift();
    if (!this.plotDirty && this.sights.every((sight) => sight.pending === 0)) {
      this.endWork?.();
      this.endWork = null;
    }
  }

  /** A second canvas costs each frame as much as the map's own, so during a gesture it is empty unless a pair is pinned. */
  private drawCross(scene: PlotScene, ratio: number): void {
    const pair = this.cross.pinned || !this.moving ? this.cross.pair : null;
    if (pair === null && !this.crossed) return;
    this.crossed = pair !== null;
    const context = context2d(this.overlay);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, scene.layout.width, scene.layout.height);
    if (pair !== null) drawCrosshair(canvasPen(context), scene, pair, this.cross.pinned);
  }

  private drawMap(props: MapProps, scene: PlotScene, ratio: number): void {
    const { layout } = scene;
    const ladder = this.service.ladder(props.layer, props.head);
    const devicePxPerToken = (layout.side * ratio) / this.window.span;
    const { comparison } = props;
    const finest = comparison === null ? 1 : Math.max(ladder.finest, this.service.ladder(comparison.layer, comparison.head).finest);
    this.sight.show({ layer: props.layer, head: props.head, window: this.window, devicePxPerToken, finest });
    this.followTwin(comparison, devicePxPerToken, finest);

    const context = context2d(this.plot);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const pen = canvasPen(context);
    pen.rect(0, 0, layout.width, layout.height, scene.palette.ground);
    const x = Math.round(layout.left * ratio), y = Math.round(layout.top * ratio);
    const input: PaintInput = {
      context, x, y, side: Math.round(layout.side * ratio), window: this.window,
      targets: this.sight.wanted, tile: (a) => this.service.get(a),
      parent: (a) => parentTile(a, coarsestCell(ladder)),
      look: this.look(props), palette: scene.palette, devicePixelRatio: ratio,
      ...(props.overlay === null ? {} : { outline: props.overlay.hue }),
    };
    this.askMasks(props, input, ladder);
    const complete = this.painter.paint(input);
    this.veil(props, scene, pen);
    drawPlot(pen, scene);
    this.markFirst();
    this.announce(props, ladder, devicePxPerToken);
    if (!complete) this.redraw();
  }

  private look(props: MapProps): Look {
    return lookOf(this.looks, { pooling: props.pooling, colour: props.colour, palette: props.scene.palette }, props.overlay, props.comparison, (a) => this.service.get(a));
  }

  /** The compared map's tiles are fetched beside this one's, at the same level. */
  private followTwin(comparison: PaneComparison | null, devicePxPerToken: number, finest: number): void {
    if (comparison === null) {
      if (this.twin !== null) this.service.release(this.twin);
      this.twin = null;
      return;
    }
    this.twin ??= this.service.sight();
    this.twin.show({ layer: comparison.layer, head: comparison.head, window: this.window, devicePxPerToken, finest });
  }

  /** Masks of every tile that is painted or about to be, and of the coarsest, which stands in for all others. */
  private askMasks({ layer, head, overlay, comparison }: MapProps, input: PaintInput, ladder: ReturnType<TileService["ladder"]>): void {
    const coarsest = coarsestCell(ladder);
    const painted = overlay === null && comparison?.overlay == null ? [] : tilesToPaint(input).map((tile) => tile.address);
    const all = new Map<string, TileAddress>([{ layer, head, cell: coarsest, row: 0, column: 0 }, ...this.sight.wanted, ...painted].map((a) => [tileKey(a), a]));
    const addresses = [...all.values()];
    overlay?.masks.want({ request: overlay.request, addresses, edge: ladder.edge, coarsest });
    if (comparison?.overlay == null) return;
    const twins = addresses.map(({ cell, row, column }) => ({ layer: comparison.layer, head: comparison.head, cell, row, column }));
    comparison.overlay.masks.want({ request: comparison.overlay.request, addresses: twins, edge: ladder.edge, coarsest });
  }

  /** Dims the map while its mask is of another setting than the one asked for. */
  private veil({ overlay, comparison }: MapProps, { layout: l, palette }: PlotScene, pen: ReturnType<typeof canvasPen>): void {
    clearTimeout(this.lateTimer);
    const late = Math.max(overlay?.masks.lateMs ?? 0, comparison?.overlay?.masks.lateMs ?? 0);
    if (late > LATE_MS) pen.rect(l.left, l.top, l.side, l.side, `${palette.ground}${Math.round(LATE_VEIL * 255).toString(16)}`);
    else if (late > 0) this.lateTimer = setTimeout(() => this.redraw(), LATE_MS - late + 1);
  }

  /** Names the moment of the first picture in the browser's own timeline, where the benchmark reads it. */
  private markFirst(): void {
    if (this.pictured || this.painter.stats().entries === 0) return;
    this.pictured = true;
    performance.mark("attnscope-first-map");
  }

  private announce(props: MapProps, ladder: ReturnType<TileService["ladder"]>, devicePxPerToken: number): void {
    const cell = Math.max(this.sight.wanted[0]?.cell ?? 0, chooseCell(ladder, devicePxPerToken));
    const status = mapStatus({
      targets: this.sight.wanted, tile: (a) => this.service.get(a), best: (a) => this.service.best(a),
      window: this.window, cell, base: ladder.base, cellPx: cell * devicePxPerToken,
    });
    const text = JSON.stringify([status, props.layer, props.head, Math.round(Math.log2(this.window.span) * 100), this.window.key, this.window.query]);
    if (text === this.lastStatus) return;
    this.lastStatus = text;
    this.callbacks.status(status, this.window);
  }

  /** Canvases follow the layout and the screen's pixel ratio. */
  private resize({ layout }: PlotScene): number {
    const ratio = globalThis.devicePixelRatio || 1;
    const name = `${layout.width}.${layout.height}.${ratio}`;
    if (name !== this.sized) {
      this.sized = name;
      for (const canvas of [this.plot, this.overlay]) {
        canvas.width = Math.round(layout.width * ratio);
        canvas.height = Math.round(layout.height * ratio);
        canvas.style.width = `${layout.width}px`;
        canvas.style.height = `${layout.height}px`;
      }
    }
    return ratio;
  }
}
