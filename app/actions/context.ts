import { createContext, useContext } from "react";
import type { ActionContext } from "./types.ts";

export const CurrentActionContext = createContext<ActionContext | null>(null);

/** What the actions of this window act on; for buttons that run an action. */
export function useActionContext(): ActionContext {
  const context = useContext(CurrentActionContext);
  if (context === null) throw new Error("useActionContext is used outside of CurrentActionContext");
  return context;
}
