import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { useActionContext } from "../../actions/context.ts";
import { useActionRegistry } from "../../actions/registry.ts";
import { searchActions } from "../../actions/search.ts";
import type { Action } from "../../actions/types.ts";
import { Dialog } from "./dialog.tsx";
import { Keys } from "./keys.tsx";

/** Finds an action by its words and runs it. */
export function ActionPalette({ onClose }: { onClose: () => void }) {
  const registry = useActionRegistry();
  const context = useActionContext();
  const [text, setText] = useState("");
  const [index, setIndex] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const found = searchActions(registry.available(context).filter(({ id }) => id !== "window.palette"), text);
  const at = Math.min(index, found.length - 1);

  useEffect(() => {
    // Not as the effect's value: newer browsers return a promise here, which React would call as a clean-up.
    void list.current?.children[at]?.scrollIntoView({ block: "nearest" });
  }, [at]);

  const run = (action: Action | undefined): void => {
    if (action === undefined) return;
    onClose();
    action.run(context);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && found.length > 0) {
      event.preventDefault();
      setIndex((at + step + found.length) % found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(found[at]);
    }
  };
  return (
    <Dialog label="Find an action" className="palette" onClose={onClose}>
      <input
        type="text" autoFocus value={text} placeholder="Find an action" aria-label="Find an action" role="combobox" aria-expanded="true"
        aria-controls="palette-list" aria-activedescendant={found[at] === undefined ? undefined : `palette-${found[at].id}`} spellCheck={false}
        onChange={(event) => {
          setText(event.target.value);
          setIndex(0);
        }}
        onKeyDown={onKeyDown}
      />
      <ul ref={list} id="palette-list" role="listbox" aria-label="Actions">
        {found.map((action, i) => (
          <li key={action.id} id={`palette-${action.id}`} role="option" aria-selected={i === at} onPointerMove={() => setIndex(i)} onClick={() => run(action)}>
            <span className="quiet">{action.group}</span>
            <span>{action.label}</span>
            {action.keys?.[0] !== undefined && <Keys chord={action.keys[0]} />}
          </li>
        ))}
        {found.length === 0 && <li className="quiet" role="presentation">No action has these words.</li>}
      </ul>
    </Dialog>
  );
}
