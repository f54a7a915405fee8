import type { Action, ActionContext } from "../../actions/types.ts";
import type { ViewState } from "../../state/view-state.ts";
import type { Choices, Selection } from "../../timings/selection.ts";
import { turnSeries } from "../../timings/series.ts";

/** What the page offers now; actions step through it. */
export interface Offered {
  devices: readonly string[]; device: string;
  choices: Choices; selection: Selection;
  lengths: readonly number[]; length: number | null;
  canRoof: boolean;
  /** Short name of the line that has the keys; null where none. */
  focus: string | null;
}

const after = <T>(list: readonly T[], now: T): T => list[(list.indexOf(now) + 1) % Math.max(1, list.length)] as T;

const set = (change: (view: ViewState) => Partial<ViewState>) => ({ store }: ActionContext): void => store.set(change);

/** Keys of the page. */
export function timingActions({ devices, device, choices, selection, lengths, length, canRoof, focus }: Offered): Action[] {
  const { groups, shapes, dtypes, batchings } = choices;
  const step = (by: number) => set(() => {
    const [first] = lengths;
    if (first === undefined) return {};
    const beyond = by > 0 ? lengths.find((tokens) => length === null || tokens > length) : lengths.findLast((tokens) => length === null || tokens < length);
    return beyond === undefined ? {} : { timingLength: beyond };
  });
  return [
    { id: "timings.device", label: "Next device", group: "Timings", keys: ["KeyD"], scope: "timings", when: () => devices.length > 1, run: set(() => ({ device: after(devices, device), timingLength: null })) },
    { id: "timings.group", label: "Prefill, decode, parts", group: "Timings", keys: ["KeyG"], scope: "timings", when: () => groups.length > 1, run: set(() => ({ timingGroup: after(groups, selection.group), timingLength: null })) },
    { id: "timings.shape", label: "Next shape of heads", group: "Timings", keys: ["KeyS"], scope: "timings", when: () => shapes.length > 1, run: set(() => ({ timingShape: after(shapes, selection.shape) })) },
    { id: "timings.dtype", label: "Next data type", group: "Timings", keys: ["KeyY"], scope: "timings", when: () => dtypes.length > 1, run: set(() => ({ timingDtype: after(dtypes, selection.dtype) as ViewState["timingDtype"] })) },
    { id: "timings.batching", label: "Batched, head by head", group: "Timings", keys: ["KeyB"], scope: "timings", when: () => batchings.length > 1, run: set(() => ({ timingBatching: selection.batching === "batched" ? "perhead" : "batched" })) },
    { id: "timings.scope", label: "All phases, attention alone", group: "Timings", keys: ["KeyA"], scope: "timings", run: set(({ timingScope }) => ({ timingScope: timingScope === "total" ? "attention" : "total" })) },
    { id: "timings.table", label: "Charts, table of every measurement", group: "Timings", keys: ["KeyV"], scope: "timings", run: set(({ timingView }) => ({ timingView: timingView === "charts" ? "table" : "charts" })) },
    { id: "timings.roofline", label: "Bound by the data sheet", group: "Timings", keys: ["KeyP"], scope: "timings", when: () => canRoof, run: set(({ roofline }) => ({ roofline: !roofline })) },
    { id: "timings.shorter", label: "Shorter length", group: "Timings", keys: ["BracketLeft"], scope: "timings", run: step(-1) },
    { id: "timings.longer", label: "Longer length", group: "Timings", keys: ["BracketRight"], scope: "timings", run: step(1) },
    { id: "timings.hide", label: "Hide the line that has the focus", group: "Timings", keys: ["KeyX"], scope: "timings", when: () => focus !== null, run: set(({ timingSeries }) => (focus === null ? {} : { timingSeries: turnSeries(timingSeries, focus) })) },
  ];
}
