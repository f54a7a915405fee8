import { useEffect, useMemo, useSyncExternalStore } from "react";
import { useView } from "../state/store.ts";
import type { ViewState } from "../state/view-state.ts";
import type { PolicyClient } from "./client.ts";
import { usePolicies } from "./context.tsx";
import { ModelGrids, type GridState } from "./model-grid.ts";
import type { CatalogueAnswer, GridRequest } from "./protocol.ts";
import { readPolicy } from "./text.ts";

/** A policy metric as the key `metric` of a view holds it. */
export const POLICY_METRIC = "policy:";
export const isPolicyMetric = (metric: string): boolean => metric.startsWith(POLICY_METRIC);

const stores = new WeakMap<PolicyClient, ModelGrids>();

export function gridsOf(client: PolicyClient): ModelGrids {
  const store = stores.get(client) ?? new ModelGrids(client);
  stores.set(client, store);
  return store;
}

const nothing = (): (() => void) => () => undefined;
const zero = (): number => 0;

/** Models under policies, kept up to date. */
export function useGrids(): { grids: ModelGrids | null; version: number } {
  const { client } = usePolicies();
  const grids = client === null ? null : gridsOf(client);
  return { grids, version: useSyncExternalStore(grids?.subscribe ?? nothing, grids?.snapshot ?? zero) };
}

/** The model under the policy of a row; null where the row is empty. */
export function useGridRequest(index: number): GridRequest | null {
  const policy = useView((view) => view.policies[index] ?? ""), context = useView((view) => view.context), chunk = useView((view) => view.chunk);
  return useMemo(() => (policy === "" ? null : { policy, context, chunk }), [policy, context, chunk]);
}

/** The model under the active policy, as far as it is computed. */
export function useActiveGrid(): { grids: ModelGrids | null; request: GridRequest | null; state: GridState | undefined } {
  const request = useGridRequest(useView((view) => view.activePolicy));
  const { grids } = useGrids();
  return { grids, request, state: grids?.get(request) };
}

type Wanting = Pick<ViewState, "page" | "rail" | "metric" | "policies" | "activePolicy" | "drawer" | "context" | "chunk">;

/** Models that something on screen needs: heads coloured by a policy metric, the request chart's memory of every kv head. */
export function wantedGrids(view: Wanting, { catalogue }: CatalogueAnswer): GridRequest[] {
  const { context, chunk } = view;
  const texts = new Set<string>();
  const active = view.policies[view.activePolicy];
  if (isPolicyMetric(view.metric) && (view.page === "home" || view.rail)) texts.add(active);
  if (view.page === "head" && view.drawer === "request") {
    for (const text of view.policies) if (readPolicy(catalogue, text)?.policy.family === "retention") texts.add(text);
  }
  return [...texts].filter((text) => readPolicy(catalogue, text) !== null).map((policy) => ({ policy, context, chunk }));
}

/** Mounted once: runs what wantedGrids names. */
export function GridRunner(): null {
  const { client, catalogue } = usePolicies();
  const page = useView((view) => view.page), rail = useView((view) => view.rail), metric = useView((view) => view.metric), drawer = useView((view) => view.drawer);
  const policies = useView((view) => view.policies), activePolicy = useView((view) => view.activePolicy);
  const context = useView((view) => view.context), chunk = useView((view) => view.chunk);
  const described = catalogue.value;
  useEffect(() => {
    if (client === null || described === null) return;
    gridsOf(client).want(wantedGrids({ page, rail, metric, drawer, policies, activePolicy, context, chunk }, described));
  }, [client, described, page, rail, metric, drawer, policies, activePolicy, context, chunk]);
  useEffect(() => (client === null ? undefined : () => gridsOf(client).want([])), [client]);
  return null;
}
