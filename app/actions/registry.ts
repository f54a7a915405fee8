import { createContext, useContext, useEffect } from "react";
import { belongsToField, chordOf, type KeyPress } from "./chord.ts";
import type { Action, ActionContext, Chord } from "./types.ts";

/** Actions that exist now: the shell's, and those of the views on screen. Two may share a chord only in different scopes. */
export class ActionRegistry {
  private readonly actions = new Map<string, Action>();
  private readonly listeners = new Set<() => void>();
  private snapshot: readonly Action[] = [];

  add(added: readonly Action[]): () => void {
    for (const action of added) {
      if (this.actions.has(action.id)) throw new Error(`Action ${action.id} exists twice`);
      for (const chord of action.keys ?? []) {
        const other = this.bound(chord, action.scope);
        if (other !== undefined) throw new Error(`${chord} is bound to both ${other.id} and ${action.id}`);
      }
      this.actions.set(action.id, action);
    }
    this.changed();
    return () => {
      for (const action of added) if (this.actions.get(action.id) === action) this.actions.delete(action.id);
      this.changed();
    };
  }

  readonly list = (): readonly Action[] => this.snapshot;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  available(context: ActionContext): Action[] {
    return this.snapshot.filter((action) => isAvailable(action, context));
  }

  /** Runs the action bound to a key press; true if there was one (the caller then keeps the key from the browser). */
  press(event: KeyPress & { target: EventTarget | null }, context: ActionContext): boolean {
    const chord = chordOf(event);
    if (belongsToField(chord, event.target)) return false;
    // An overlay has the keys for itself; its own Esc and list keys are handled by the dialog.
    if (context.overlay !== null && !chord.startsWith("Mod+")) return false;
    const action = this.snapshot.find((candidate) => (candidate.keys ?? []).includes(chord) && isAvailable(candidate, context));
    if (action === undefined) return false;
    action.run(context);
    return true;
  }

  private bound(chord: Chord, scope: Action["scope"]): Action | undefined {
    return [...this.actions.values()].find((action) =>
      (action.keys ?? []).includes(chord) && (action.scope === undefined || scope === undefined || action.scope === scope));
  }

  private changed(): void {
    this.snapshot = [...this.actions.values()];
    for (const listener of this.listeners) listener();
  }
}

export function isAvailable(action: Action, context: ActionContext): boolean {
  if (action.scope !== undefined && (context.store.get().page !== action.scope || (context.capture === null && action.scope !== "timings" && action.scope !== "memory"))) return false;
  return action.when?.(context) ?? true;
}

export const ActionRegistryContext = createContext<ActionRegistry | null>(null);

export function useActionRegistry(): ActionRegistry {
  const registry = useContext(ActionRegistryContext);
  if (registry === null) throw new Error("useActionRegistry is used outside of ActionRegistryContext");
  return registry;
}

/** Adds a view's own actions while it is mounted. Pass a constant list: a new array on every render re-registers. */
export function useActions(actions: readonly Action[]): void {
  const registry = useActionRegistry();
  useEffect(() => registry.add(actions), [registry, actions]);
}
