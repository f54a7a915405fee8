import { useEffect } from "react";
import type { ActionRegistry } from "./registry.ts";
import type { ActionContext } from "./types.ts";

/** Sends key presses to the actions. One listener for the window; fields keep their own keys. */
export function useKeys(actions: ActionRegistry, context: ActionContext): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (!event.defaultPrevented && !event.isComposing && actions.press(event, context)) event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [actions, context]);
}
