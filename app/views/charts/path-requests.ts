import type { PolicyCatalogue, PolicyDescriptor } from "../../../native/engine.ts";
import type { PathState } from "../../policies/paths.ts";
import type { SweepRequest } from "../../policies/protocol.ts";
import type { MetricTable } from "../../policies/results.ts";
import { guestOracle, guestRandom, pathOf, YARDSTICKS } from "../../policies/sweep.ts";
import { readPolicy } from "../../policies/text.ts";
import type { ViewState } from "../../state/view-state.ts";
import type { FamilyPaths } from "./tradeoff-model.ts";

type Family = PolicyDescriptor["family"];
const FAMILIES: readonly Family[] = ["prefill", "retention", "retrieval"];

export type PathView = Pick<ViewState, "policies" | "activePolicy" | "layer" | "head" | "context" | "chunk" | "rowsMode">;
type Get = (request: SweepRequest) => PathState | undefined;

export interface PathPlan {
  families: FamilyPaths[];
  /** Everything to be computed, as far as it is known by now: guests follow their host. */
  requests: SweepRequest[];
  complete: boolean;
}

/** What the chart of these policies needs, and what of it is there. */
export function planPaths(view: PathView, catalogue: PolicyCatalogue, table: MetricTable, tokens: number, get: Get): PathPlan {
  const requests: SweepRequest[] = [];
  const ask = (points: SweepRequest["points"], host?: string): PathState | undefined => {
    const first = host ?? points[0]?.policy;
    if (first === undefined) return undefined;
    const request = { layer: view.layer, head: view.head, policy: first, context: view.context, chunk: view.chunk, rows: view.rowsMode, points };
    requests.push(request);
    return get(request);
  };
  const own = (text: string): PathState | undefined => {
    const read = readPolicy(catalogue, text);
    return read === null ? undefined : ask(pathOf(read, tokens).map((policy) => ({ policy, guest: false })));
  };
  const rows = view.policies.flatMap((text, index) => {
    const policy = readPolicy(catalogue, text)?.policy;
    return policy === undefined ? [] : [{ index, text, family: policy.family }];
  });
  const families = FAMILIES.flatMap((family): FamilyPaths[] => {
    const mine = rows.filter((row) => row.family === family);
    if (mine.length === 0) return [];
    // The active policy first: its path is what a hand waits for.
    const sorted = mine.toSorted((a, b) => Number(b.index === view.activePolicy) - Number(a.index === view.activePolicy));
    const paths = sorted.map(({ index, text }) => ({ index, state: own(text) }));
    const { oracle, random } = YARDSTICKS[family];
    const base = sorted.find(({ text }) => readPolicy(catalogue, text)?.policy.yardstick !== true) ?? sorted[0];
    const host = paths.find(({ index }) => index === base?.index)?.state;
    const guests = (name: string, text: (metrics: Float64Array | undefined) => string): PathState | undefined =>
      name !== "" || host?.complete !== true || host.outcomes.length === 0 ? undefined
        : ask(host.outcomes.map(({ metrics }) => ({ policy: text(metrics ?? undefined), guest: true })), host.outcomes[0]?.policy);
    return [{
      family, paths, base: base?.index ?? -1,
      oracle: oracle === "" ? undefined : own(oracle), random: random === "" ? undefined : own(random),
      guestOracle: guests(oracle, (metrics) => guestOracle(finite(table.value(metrics, "kept_share"), 1))),
      guestRandom: guests(random, (metrics) => guestRandom(finite(table.value(metrics, "kept_keys_mean"), tokens))),
    }];
  });
  return { families, requests, complete: requests.every((request) => get(request)?.complete === true) };
}

/** A point that could not run has no place on the chart; its guest keeps the order of the others. */
const finite = (value: number, otherwise: number): number => (Number.isFinite(value) ? value : otherwise);
