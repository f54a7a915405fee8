import { useSyncExternalStore } from "react";
import { useActionRegistry } from "../../actions/registry.ts";
import type { Action } from "../../actions/types.ts";
import { APP_VERSION } from "../../lib/version.ts";
import { Dialog } from "./dialog.tsx";
import { Keys } from "./keys.tsx";

const SCOPES = { home: "heads page", head: "map", kv: "KV page", memory: "memory", timings: "timings" } as const;

/** Every action with a key, from the registry itself. */
export function HelpOverlay({ onClose }: { onClose: () => void }) {
  const registry = useActionRegistry();
  const actions = useSyncExternalStore(registry.subscribe, registry.list);
  const groups = groupActions(actions.filter(({ keys }) => keys !== undefined && keys.length > 0));
  return (
    <Dialog label="Keyboard help" className="help" onClose={onClose}>
      <h2>Keys</h2>
      <div className="help-groups">
        {[...groups].map(([group, items]) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {items.map((action) => (
                <div key={action.id}>
                  <dt>{action.label}{action.scope !== undefined && SCOPES[action.scope] !== group.toLowerCase() && <span className="quiet"> {SCOPES[action.scope]}</span>}</dt>
                  <dd>{(action.keys ?? []).map((chord) => <Keys key={chord} chord={chord} />)}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <p className="quiet">On the grid of heads: arrow keys choose, Enter opens. Letters name the physical key of a US layout. attnscope {APP_VERSION}</p>
      <form method="dialog"><button type="button" onClick={onClose}>Close</button></form>
    </Dialog>
  );
}

/** Groups in the order in which their first action was registered. */
function groupActions(actions: readonly Action[]): Map<string, Action[]> {
  const groups = new Map<string, Action[]>();
  for (const action of actions) groups.set(action.group, [...(groups.get(action.group) ?? []), action]);
  return groups;
}
