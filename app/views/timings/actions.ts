import type { Action, ActionContext } from "../../actions/types.ts";
import type { ViewState } from "../../state/view-state.ts";
import { turnSeries } from "../../timings/series.ts";

/** What the page offers now; actions step through it. */
export interface Offered {
  devices: readonly string[]; device: string;
  groups: readonly ViewState["timingGroup"][]; shapes: readonly string[]; dtypes: readonly string[]; batchings: readonly string[];
  group: ViewState["timingGroup"]; shape: string; dtype: string; batching: string;
  lengths: readonly number[]; length: number | null;
  canRoof: boolean;
  /** Short name of the line that has the keys; null where none. */
  focus: string | null;
}

const after = <T>(list: readonly T[], now: T): T => list[(list.indexOf(now) + 1) % Math.max(1, list.length)] as T;

/** Keys of the page; `offered` is asked when one is pressed. */
export function timingActions(offered: () => Offered): Action[] {
  const set = (change: (now: Offered, view: ViewState) => Partial<ViewState>) => ({ store }: ActionContext): void => store.set((view) => change(offered(), view));
  const step = (by: number) => set(({ lengths, length }) => {
    const [first] = lengths;
    if (first === undefined) return {};
    const beyond = by > 0 ? lengths.find((tokens) => length === null || tokens > length) : lengths.findLast((tokens) => length === null || tokens < length);
    return beyond === undefined ? {} : { timingLength: beyond };
  });
  return [
    { id: "timings.device", label: "Next device", group: "Timings", keys: ["KeyD"], scope: "timings", when: () => offered().devices.length > 1, run: set(({ devices, device }) => ({ device: after(devices, device), timingLength: null })) },
    { id: "timings.group", label: "Prefill, decode, parts", group: "Timings", keys: ["KeyG"], scope: "timings", when: () => offered().groups.length > 1, run: set(({ groups, group }) => ({ timingGroup: after(groups, group), timingLength: null })) },
    { id: "timings.shape", label: "Next shape of heads", group: "Timings", keys: ["KeyS"], scope: "timings", when: () => offered().shapes.length > 1, run: set(({ shapes, shape }) => ({ timingShape: after(shapes, shape) })) },
    { id: "timings.dtype", label: "Next data type", group: "Timings", keys: ["KeyY"], scope: "timings", when: () => offered().dtypes.length > 1, run: set(({ dtypes, dtype }) => ({ timingDtype: after(dtypes, dtype) as ViewState["timingDtype"] })) },
    { id: "timings.batching", label: "Batched, head by head", group: "Timings", keys: ["KeyB"], scope: "timings", when: () => offered().batchings.length > 1, run: set(({ batching }) => ({ timingBatching: batching === "batched" ? "perhead" : "batched" })) },
    { id: "timings.scope", label: "All phases, attention alone", group: "Timings", keys: ["KeyA"], scope: "timings", run: set((_, { timingScope }) => ({ timingScope: timingScope === "total" ? "attention" : "total" })) },
    { id: "timings.table", label: "Charts, table of every measurement", group: "Timings", keys: ["KeyV"], scope: "timings", run: set((_, { timingView }) => ({ timingView: timingView === "charts" ? "table" : "charts" })) },
    { id: "timings.roofline", label: "Bound by the data sheet", group: "Timings", keys: ["KeyP"], scope: "timings", when: () => offered().canRoof, run: set((_, { roofline }) => ({ roofline: !roofline })) },
    { id: "timings.shorter", label: "Shorter length", group: "Timings", keys: ["BracketLeft"], scope: "timings", run: step(-1) },
    { id: "timings.longer", label: "Longer length", group: "Timings", keys: ["BracketRight"], scope: "timings", run: step(1) },
    { id: "timings.hide", label: "Hide the line that has the focus", group: "Timings", keys: ["KeyX"], scope: "timings", when: () => offered().focus !== null, run: set(({ focus }, { timingSeries }) => (focus === null ? {} : { timingSeries: turnSeries(timingSeries, focus) })) },
  ];
}
