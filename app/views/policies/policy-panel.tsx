import { useEffect, useMemo, useRef } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { useActions } from "../../actions/registry.ts";
import type { Action } from "../../actions/types.ts";
import { addPolicy } from "../../policies/change.ts";
import { usePolicies, useSlots } from "../../policies/context.tsx";
import { LETTERS } from "../../policies/pane-policy.ts";
import { startText } from "../../policies/presets.ts";
import type { CatalogueAnswer } from "../../policies/protocol.ts";
import { EMPTY_SLOT } from "../../policies/slot.ts";
import { useStore, useView } from "../../state/store.ts";
import type { PolicyIndex } from "../../state/view-state.ts";
import { ProblemPanel } from "../shell/problem-panel.tsx";
import { POLICY_ACTIONS } from "./actions.ts";
import { Chip } from "./chip.tsx";
import { useMatchBudget } from "./match-budget.tsx";
import { PolicyOptions, PolicyPicker } from "./policy-picker.tsx";
import { PolicyRow } from "./policy-row.tsx";
import { ScheduleControls } from "./schedule-controls.tsx";
import "./policies.css";

/** Policies A to D on the chosen head: parameters, what they keep, what that costs. Folded away it is a strip with their letters. */
export function PolicyPanel({ capture }: { capture: Capture }) {
  const shown = useView((view) => view.policyPanel);
  useActions(POLICY_ACTIONS);
  return shown ? <OpenPanel capture={capture} /> : <FoldedPanel />;
}

function FoldedPanel() {
  const store = useStore();
  const policies = useView((view) => view.policies);
  return (
    <button type="button" className="policies-strip" onClick={() => store.set({ policyPanel: true })} title="Show the policies (O)" aria-label="Show the policies">
      {LETTERS.map((letter, i) => policies[i] !== "" && <Chip key={letter} index={i} />)}
      <span>Policies</span>
      <kbd>O</kbd>
    </button>
  );
}

function OpenPanel({ capture }: { capture: Capture }) {
  const store = useStore();
  const { catalogue } = usePolicies();
  const layer = useView((view) => view.layer), head = useView((view) => view.head);
  const match = useMatchBudget();
  const latest = useRef(match);
  useEffect(() => { latest.current = match; });
  const actions = useMemo<Action[]>(() => [{
    id: "policies.match", label: "Match budget: the others keep what the active policy keeps", group: "Policies", keys: ["Shift+KeyM"],
    when: ({ capture: open }) => open !== null && latest.current.enabled, run: () => latest.current.run(),
  }], []);
  useActions(actions);
  return (
    <aside className="policies" aria-label="Policies" data-testid="policies">
      <header className="policies-head">
        <h2>Policies</h2>
        <span className="quiet num">L{layer} H{head}</span>
        <span className="spacer" />
        {match.enabled && (
          <button type="button" disabled={match.running} onClick={match.run} title="Move the others' main budget until they keep what the active policy really keeps (Shift+M)">
            {match.running ? "Matching" : "Match budget"}
          </button>
        )}
        <button type="button" className="plain" onClick={() => store.set({ policyPanel: false })} title="Hide the policies">Hide <kbd>O</kbd></button>
      </header>
      {catalogue.state === "failed" ? <ProblemPanel error={catalogue.error} />
        : catalogue.value === null ? <p className="waiting">Loading the policies</p>
          : <Rows described={catalogue.value} capture={capture} matched={match.outcome} />}
    </aside>
  );
}

function Rows({ described, capture, matched }: { described: CatalogueAnswer; capture: Capture; matched: string }) {
  const store = useStore();
  const slots = useSlots();
  const policies = useView((view) => view.policies), active = useView((view) => view.activePolicy);
  const used = policies.filter((text) => text !== "").length;
  const add = (id: string): void => store.set((view) => addPolicy(view, startText(described, id)));
  if (used === 0) {
    return (
      <div className="policies-body">
        <p className="start-hint">Pick a policy to replay this head under it: what it keeps, what that costs, what is lost.</p>
        <div className="picker-list inline" role="listbox" aria-label="Policies">
          <PolicyOptions catalogue={described.catalogue} current="" onPick={({ id }) => add(id)} />
        </div>
      </div>
    );
  }
  return (
    <div className="policies-body">
      {matched !== "" && <p className="note matched" role="status">{matched}</p>}
      {LETTERS.map((letter, i) => policies[i] !== "" && (
        <PolicyRow key={letter} index={i as PolicyIndex} text={policies[i] as string} active={i === active} slot={slots[i] ?? EMPTY_SLOT} described={described} />
      ))}
      {used < 4 && (
        <div className="add-row">
          <PolicyPicker catalogue={described.catalogue} current="" onPick={({ id }) => add(id)}>+ Add a policy to compare</PolicyPicker>
        </div>
      )}
      <ScheduleControls described={described} totalTokens={capture.totalTokens} />
    </div>
  );
}
