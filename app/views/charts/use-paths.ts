import { useEffect, useMemo, useSyncExternalStore } from "react";
import type { CatalogueAnswer } from "../../policies/protocol.ts";
import { PathStore, pathKey } from "../../policies/paths.ts";
import type { PolicyClient } from "../../policies/client.ts";
import type { MetricTable } from "../../policies/results.ts";
import { useView } from "../../state/store.ts";
import { planPaths, type PathPlan } from "./path-requests.ts";

/** Stores outlive a closed drawer with their client: opening it again shows what was computed. */
const stores = new WeakMap<PolicyClient, PathStore>();

function storeOf(client: PolicyClient): PathStore {
  const store = stores.get(client) ?? new PathStore(client);
  stores.set(client, store);
  return store;
}

/** Paths of the chosen policies on the chosen head, computed while the chart is on screen. */
export function usePaths(client: PolicyClient, { catalogue }: CatalogueAnswer, table: MetricTable, tokens: number): PathPlan {
  const store = storeOf(client);
  const version = useSyncExternalStore(store.subscribe, store.snapshot);
  const policies = useView((view) => view.policies), activePolicy = useView((view) => view.activePolicy), layer = useView((view) => view.layer), head = useView((view) => view.head);
  const context = useView((view) => view.context), chunk = useView((view) => view.chunk), rowsMode = useView((view) => view.rowsMode);
  const plan = useMemo(
    () => planPaths({ policies, activePolicy, layer, head, context, chunk, rowsMode }, catalogue, table, tokens, (request) => store.get(request)),
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- `version` stands for what `get` answers
    [policies, activePolicy, layer, head, context, chunk, rowsMode, catalogue, table, tokens, store, version],
  );
  const keys = plan.requests.map(pathKey).join("\n");
  // oxlint-disable-next-line react-hooks/exhaustive-deps -- `keys` names the requests
  useEffect(() => store.want(plan.requests), [store, keys]);
  useEffect(() => () => store.stop(), [store]);
  return plan;
}
