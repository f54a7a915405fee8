import type { Action, ActionContext } from "../../actions/types.ts";
import type { ViewState } from "../../state/view-state.ts";

const onMap = ({ capture, store }: ActionContext): boolean => capture !== null && store.get().page === "head";
const toggle = (kind: Exclude<ViewState["drawer"], "closed">) => ({ store }: ActionContext): void => store.set(({ drawer }) => ({ drawer: drawer === kind ? "closed" : kind }));
const LOSSES: readonly ViewState["chartLoss"][] = ["error", "recall", "recall_no_sinks"];
const COSTS: readonly ViewState["chartCost"][] = ["bytes", "keys", "time"];
const charts = (context: ActionContext): boolean => onMap(context) && ["tradeoff", "request"].includes(context.store.get().drawer);

export const CHART_ACTIONS: readonly Action[] = [
  { id: "drawer.tradeoff", label: "Trade-off chart: loss against cost", group: "Policies", keys: ["KeyF"], when: onMap, run: toggle("tradeoff") },
  { id: "drawer.request", label: "Request chart: peak KV against error", group: "Policies", keys: ["KeyQ"], when: onMap, run: toggle("request") },
  { id: "drawer.lsh", label: "LSH: centred cosines and the share they predict", group: "Policies", keys: ["KeyK"], when: onMap, run: toggle("lsh") },
  {
    id: "chart.loss", label: "Charts: error, mass lost, mass lost without sinks", group: "Policies", keys: ["Shift+KeyF"], when: charts,
    run: ({ store }) => store.set(({ chartLoss }) => ({ chartLoss: LOSSES[(LOSSES.indexOf(chartLoss) + 1) % LOSSES.length] as ViewState["chartLoss"] })),
  },
  {
    id: "chart.cost", label: "Charts: cost as work and bytes, as keys, as time", group: "Policies", keys: ["Shift+KeyK"], when: charts,
    run: ({ store }) => store.set((view) => (view.drawer === "request" ? { requestCost: view.requestCost === "bytes" ? "time" : "bytes" } : { chartCost: COSTS[(COSTS.indexOf(view.chartCost) + 1) % COSTS.length] as ViewState["chartCost"] })),
  },
];
