import { useMemo } from "react";
import { usePalette } from "../../marks/theme.ts";
import { useView } from "../../state/store.ts";
import { copyLines, type CopyLine } from "../../timings/copies.ts";
import { useTimings, type Timings } from "../../timings/context.tsx";
import { isMeasured, type TimedDevice } from "../../timings/devices.ts";
import { roofOf, SHEET_LENGTHS, SHEET_SHAPE, type Roof } from "../../timings/roof.ts";
import { select, type Choices, type Selection } from "../../timings/selection.ts";
import { buildSeries, shownSeries, type Series } from "../../timings/series.ts";
import { speedLines, speedLengths, type SpeedLine } from "../../timings/speedup.ts";
import { chosenLength, measuredLengths, stackRows, type StackRow } from "../../timings/stacks.ts";
import { curveLines, type CurveLine } from "./curves-model.ts";
import { looksOf, type Look } from "./look.ts";

/** Everything the page shows of one device. */
export interface TimingPage {
  timings: Timings;
  device: TimedDevice;
  selection: Selection;
  choices: Choices;
  series: readonly Series[];
  shown: ReadonlySet<string>;
  looks: ReadonlyMap<string, Look>;
  lines: readonly CurveLine[];
  roof: Roof | null;
  canRoof: boolean;
  lengths: readonly number[];
  length: number | null;
  stacks: readonly StackRow[];
  speed: readonly SpeedLine[];
  /** Length of the speed-up: the chosen one, or the nearest with sparsities. */
  speedLength: number | null;
  copies: readonly CopyLine[];
}

export function useTimingPage(): { timings: Timings; page: TimingPage | null } {
  const timings = useTimings();
  const palette = usePalette();
  const timingGroup = useView((view) => view.timingGroup), timingScope = useView((view) => view.timingScope), timingShape = useView((view) => view.timingShape), timingDtype = useView((view) => view.timingDtype);
  const timingBatching = useView((view) => view.timingBatching), timingLength = useView((view) => view.timingLength), turned = useView((view) => view.timingSeries), roofline = useView((view) => view.roofline);
  const { device, engine } = timings;

  const chosen = useMemo(() => {
    if (device === null) return null;
    const view = { timingGroup, timingScope, timingShape, timingDtype, timingBatching, timingLength };
    if (isMeasured(device)) return select(device, view);
    const selection: Selection = { group: timingGroup === "parts" ? "prefill" : timingGroup, scope: "total", batching: "batched", shape: timingShape === "" ? SHEET_SHAPE.shape : timingShape, dtype: timingDtype === "" ? SHEET_SHAPE.dtype : timingDtype };
    return { selection, choices: { groups: ["prefill", "decode"], shapes: [selection.shape], dtypes: ["bf16", "f16"], batchings: [] } satisfies Choices };
  }, [device, timingGroup, timingScope, timingShape, timingDtype, timingBatching, timingLength]);
  const series = useMemo(() => (device === null || chosen === null ? [] : buildSeries(device.rows, chosen.selection)), [device, chosen]);
  const shown = useMemo(() => shownSeries(series, turned), [series, turned]);
  const visible = useMemo(() => series.filter(({ short }) => shown.has(short)), [series, shown]);
  const looks = useMemo(() => looksOf(visible, palette), [visible, palette]);
  const lines = useMemo(() => curveLines(engine, visible, looks), [engine, visible, looks]);
  const lengths = useMemo(() => measuredLengths(visible), [visible]);
  const length = chosenLength(visible, timingLength);
  const roof = useMemo(() => (device === null || chosen === null ? null : roofOf(engine, device.hardware, chosen.selection, lengths.length > 0 ? lengths : SHEET_LENGTHS)), [engine, device, chosen, lengths]);
  const stacks = useMemo(() => (device === null || chosen === null || length === null || chosen.selection.group === "parts" ? [] : stackRows(engine, device.rows, chosen.selection, shown, length)), [engine, device, chosen, shown, length]);
  const withSparsity = useMemo(() => speedLengths(series), [series]);
  const speedLength = length === null ? null : withSparsity.reduce<number | null>((best, tokens) => (best === null || Math.abs(Math.log(tokens / length)) < Math.abs(Math.log(best / length)) ? tokens : best), null);
  const speed = useMemo(() => (speedLength === null ? [] : speedLines(engine, series, series.find(({ base }) => base), speedLength)), [engine, series, speedLength]);
  const copies = useMemo(() => copyLines(device?.rows ?? []), [device]);
  const page = device === null || chosen === null ? null : {
    timings, device, ...chosen, series, shown, looks, lines, roof: roofline || !isMeasured(device) ? roof : null, canRoof: isMeasured(device) && roof !== null, lengths, length, stacks, speed, speedLength, copies,
  };
  return { timings, page };
}
