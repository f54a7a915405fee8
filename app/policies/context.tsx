import { createContext, useContext, useEffect, useMemo, useState, useSyncExternalStore, type ReactNode } from "react";
import type { Capture } from "../../data/reader/capture-types.ts";
import { useAsync, type Loaded } from "../lib/use-async.ts";
import { useView } from "../state/store.ts";
import type { ViewState } from "../state/view-state.ts";
import type { PolicyClient } from "./client.ts";
import { requestOf } from "./pane-policy.ts";
import type { CatalogueAnswer } from "./protocol.ts";
import { acquirePolicies } from "./service-of.ts";
import { EMPTY_SLOT, type SlotState } from "./slot.ts";
import { PolicyStore } from "./store.ts";

export interface Policies {
  /** Null until something needs the worker: an open panel, a policy, a drawer. */
  client: PolicyClient | null;
  store: PolicyStore | null;
  catalogue: Loaded<CatalogueAnswer>;
}

const NONE: Policies = { client: null, store: null, catalogue: { state: "loading", value: null, error: null } };
const PoliciesContext = createContext<Policies>(NONE);

const needed = (view: ViewState): boolean => view.policyPanel || view.drawer !== "closed" || view.metric.startsWith("policy:") || view.policies.some((text) => text !== "");

/** Runs the chosen policies on the chosen head while anything shows them. */
export function PoliciesProvider({ capture, children }: { capture: Capture; children: ReactNode }) {
  const wanted = useView(needed);
  const [{ store, fault }, setWorker] = useState<{ store: PolicyStore | null; fault: unknown }>({ store: null, fault: null });
  useEffect(() => {
    let release: (() => void) | undefined, made: PolicyStore | undefined;
    try {
      if (wanted) {
        const acquired = acquirePolicies(capture);
        release = acquired.release;
        made = new PolicyStore(acquired.client);
      }
      // oxlint-disable-next-line react/set-state-in-effect -- a worker is started outside of React and its handle kept here
      setWorker({ store: made ?? null, fault: null });
    } catch (error) {
      // A browser without module workers says so here.
      setWorker({ store: null, fault: error });
    }
    return () => {
      made?.stop();
      release?.();
    };
  }, [capture, wanted]);
  const described = useAsync(store === null ? null : () => store.client.catalogue(), [store]);
  const value = useMemo<Policies>(() => ({
    client: store?.client ?? null, store, catalogue: fault === null ? described : { state: "failed", value: null, error: fault },
  }), [store, described, fault]);
  return (
    <PoliciesContext value={value}>
      {store !== null && <Runner store={store} />}
      {children}
    </PoliciesContext>
  );
}

/** Keeps what the worker computes in step with the view. Policies of a map that is not in sight are not replayed. */
function Runner({ store }: { store: PolicyStore }) {
  const policies = useView((view) => view.policies), context = useView((view) => view.context), chunk = useView((view) => view.chunk);
  const rowsMode = useView((view) => view.rowsMode), layer = useView((view) => view.layer), head = useView((view) => view.head);
  const shown = useView((view) => view.policyPanel || view.drawer !== "closed");
  useEffect(() => {
    store.show(policies.map((text, i) => (text === "" || !shown ? null : requestOf({ policies, context, chunk, rowsMode }, i, layer, head))));
  }, [store, policies, context, chunk, rowsMode, layer, head, shown]);
  return null;
}

export const usePolicies = (): Policies => useContext(PoliciesContext);

const nothing = (): (() => void) => () => undefined;
const EMPTY: readonly SlotState[] = [EMPTY_SLOT, EMPTY_SLOT, EMPTY_SLOT, EMPTY_SLOT];
const empty = (): readonly SlotState[] => EMPTY;

/** Answers of rows A to D. */
export function useSlots(): readonly SlotState[] {
  const { store } = usePolicies();
  return useSyncExternalStore(store?.subscribe ?? nothing, store?.get ?? empty);
}
