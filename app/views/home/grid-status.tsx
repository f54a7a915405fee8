import { problemOf } from "../../lib/problem.ts";
import { LETTERS } from "../../policies/pane-policy.ts";
import { isPolicyMetric, useActiveGrid } from "../../policies/use-model-grid.ts";
import { useStore, useView } from "../../state/store.ts";
import { Chip } from "../policies/chip.tsx";

/** Under which policy heads are coloured, how far that is, and a way to stop it. Nothing where heads show a statistic. */
export function GridStatus() {
  const store = useStore();
  const shown = isPolicyMetric(useView((view) => view.metric));
  const active = useView((view) => view.activePolicy);
  const { grids, request, state } = useActiveGrid();
  if (!shown) return null;
  if (request === null) {
    return <p className="grid-status quiet">No policy is chosen. <button type="button" onClick={() => store.set({ policyPanel: true })}>Choose one</button></p>;
  }
  const problem = state?.state === "failed" ? problemOf(state.error) : null;
  return (
    <p className="grid-status" data-testid="grid-status" title={request.policy} role="status">
      <Chip index={active} />
      {problem !== null ? <span className="danger">{problem.sentence} {problem.next}</span> : (
        <>
          <span className="num">{text(state?.state, state?.done ?? 0, state?.total ?? 0)}</span>
          {state?.state === "running" && <button type="button" aria-label={`Stop computing policy ${LETTERS[active]} on every head`} onClick={() => grids?.stop(request)}>Stop</button>}
          {state?.state === "stopped" && <button type="button" onClick={() => grids?.resume(request)}>Compute again</button>}
          {state !== undefined && state.missing !== "" && <span className="quiet">{state.missing}</span>}
        </>
      )}
    </p>
  );
}

function text(state: string | undefined, done: number, total: number): string {
  if (state === "complete") return total === 0 ? "" : `all ${total} heads, teacher-forced`;
  return state === "stopped" ? `stopped at ${done} of ${total} heads` : total === 0 ? "waiting" : `${done} of ${total} heads`;
}
