import type { Capture } from "../../../data/reader/capture-types.ts";
import { useStore, useView } from "../../state/store.ts";
import type { PanePolicy } from "../../state/view-state.ts";
import { LETTERS } from "../../policies/pane-policy.ts";
import type { Pooling } from "../../tiles/tile.ts";
import type { LiveMap } from "../head/live-map.ts";
import { Badge } from "../head/map-texts.tsx";
import { MaskBadge } from "../head/mask-badge.tsx";
import type { PaneOverlay } from "../head/overlay.ts";
import { setPaneHead, type PaneModel, type PaneSide } from "./pane-model.ts";

interface Props { capture: Capture; model: PaneModel; live: LiveMap; pooling: Pooling; overlay: PaneOverlay | null; active: boolean }

/** Above each of two maps: which one it is, its head, its policy, and what kind of numbers it shows. */
export function PaneHeader({ capture, model, live, pooling, overlay, active }: Props) {
  const store = useStore();
  const { layers, heads } = capture.manifest.model;
  const { side, layer, head } = model;
  const number = (value: number, count: number, label: string, prefix: string, set: (value: number) => void) => (
    <select aria-label={`${label} of map ${letterOf(side)}`} value={value} onChange={(event) => set(Number(event.target.value))}>
      {Array.from({ length: count }, (_, i) => <option key={i} value={i}>{prefix}{i}</option>)}
    </select>
  );
  return (
    <header className="pane-header" data-active={active}>
      <div className="pane-row">
        <b className="pane-letter">{letterOf(side)}</b>
        {number(layer, layers, "Layer", "L", (next) => store.set(setPaneHead(side, next, head)))}
        {number(head, heads, "Head", "H", (next) => store.set(setPaneHead(side, layer, next)))}
        <PolicySelect side={side} />
      </div>
      <div className="pane-row">
        <Badge live={live} pooling={pooling} />
        {overlay !== null && <MaskBadge live={live} overlay={overlay} pooling={pooling} />}
      </div>
    </header>
  );
}

/** Maps are A and B too, but never next to a policy's letter without a word. */
export const letterOf = (side: PaneSide): string => (side === "first" ? "1" : "2");

/** Policy laid over a map; nothing where no policy is chosen at all. */
export function PolicySelect({ side }: { side: PaneSide }) {
  const store = useStore();
  const policies = useView((v) => v.policies), chosen = useView((v) => v.panePolicy), active = useView((v) => v.activePolicy);
  if (policies.every((text) => text === "")) return null;
  const set = (value: string) => store.set({ panePolicy: { ...chosen, [side]: value as PanePolicy } });
  return (
    <select className="pane-policy" aria-label={`Policy over map ${letterOf(side)}`} value={chosen[side]} onChange={(event) => set(event.target.value)} title="Policy laid over this map">
      <option value="none">no policy</option>
      <option value="active">as in the panel{policies[active] === "" ? "" : `: ${LETTERS[active]}`}</option>
      {policies.map((text, i) => text !== "" && <option key={LETTERS[i]} value={"abcd"[i]}>{LETTERS[i]} {text.replace(/:.*$/, "")}</option>)}
    </select>
  );
}
