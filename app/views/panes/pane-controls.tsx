import { useActionContext } from "../../actions/context.ts";
import { useActionRegistry } from "../../actions/registry.ts";
import { useView } from "../../state/store.ts";
import { useStore } from "../../state/store.ts";
import { Segmented } from "../shell/segmented.tsx";
import type { Locks } from "./pane-model.ts";

const COMPARES = [
  { value: "none", label: "Side by side" },
  { value: "difference", label: "1 − 2", title: "Map 1 minus map 2; of two policies on one head, what each keeps" },
  { value: "ratio", label: "1 ÷ 2", title: "Logarithm of map 1 over map 2" },
  { value: "blink", label: "Blink", title: "One map at a time; hold B to see the other" },
] as const;

/** Second map, and how the two are compared. */
export function PaneControls({ onHold, onRelease }: { onHold(): void; onRelease(): void }) {
  const store = useStore();
  const run = useRun();
  const panes = useView((v) => v.panes), compare = useView((v) => v.compare), side = useView((v) => v.blinkSide);
  if (panes === 1) return <button type="button" onClick={() => run("panes.second")} title="A second map beside this one (V)">Two maps</button>;
  return (
    <>
      <Segmented label="Compare" hideLabel value={compare} options={COMPARES} onChange={(next) => store.set({ compare: next })} />
      {compare === "blink" && (
        <button type="button" className="pane-blink" title="Hold to see the other map (B); a double click stays there"
          onPointerDown={onHold} onPointerUp={onRelease} onPointerLeave={onRelease}
          onDoubleClick={() => store.set({ blinkSide: side === "first" ? "second" : "first" })}>
          Hold for {side === "first" ? "2" : "1"} <kbd>B</kbd>
        </button>
      )}
      <button type="button" onClick={() => run("panes.second")} title="Close the second map (V)">One map</button>
    </>
  );
}

const LOCKS: readonly { name: keyof Locks; label: string; title: string; action: string }[] = [
  { name: "location", label: "place", title: "Both maps keep one centre", action: "panes.lock-location" },
  { name: "zoom", label: "zoom", title: "Both maps show as many tokens", action: "panes.lock-zoom" },
  { name: "colour", label: "colour", title: "Both maps share one colour range", action: "panes.lock-colour" },
];

/** Between two maps: what they share. */
export function LockColumn() {
  const locks = useView((v) => v.locks);
  const run = useRun();
  return (
    <div className="pane-locks" role="group" aria-label="Locks between the maps">
      {LOCKS.map(({ name, label, title, action }) => (
        <button key={name} type="button" aria-pressed={locks[name]} onClick={() => run(action)} title={`${title}. ${locks[name] ? "Locked" : "Free"}.`}>
          <LockSign closed={locks[name]} />
          <span>{label}</span>
        </button>
      ))}
      <button type="button" onClick={() => run("panes.swap")} title="Swap the two maps (Shift X)"><span aria-hidden="true">⇄</span><span>swap</span></button>
    </div>
  );
}

function LockSign({ closed }: { closed: boolean }) {
  return (
    <svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true" fill="none" stroke="currentColor">
      <rect x="2.5" y="5.5" width="7" height="5" fill={closed ? "currentColor" : "none"} />
      <path d={closed ? "M4 5.5V4a2 2 0 0 1 4 0v1.5" : "M4 5.5V3.5a2 2 0 0 1 3.8-.9"} />
    </svg>
  );
}

/** Buttons run what the registry holds, so that key, palette and button are one thing. */
function useRun(): (id: string) => void {
  const registry = useActionRegistry();
  const context = useActionContext();
  return (id) => registry.list().find((action) => action.id === id)?.run(context);
}
