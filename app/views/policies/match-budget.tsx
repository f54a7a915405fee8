import { useEffect, useRef, useState } from "react";
import { busy } from "../../lib/idle.ts";
import { isAbort } from "../../../data/errors.ts";
import { LETTERS, requestOf } from "../../policies/pane-policy.ts";
import { usePolicies } from "../../policies/context.tsx";
import { policyProblem } from "../../policies/problem.ts";
import type { MatchAnswer } from "../../policies/protocol.ts";
import { useStore, useView } from "../../state/store.ts";
import type { PolicyTexts } from "../../state/view-state.ts";

/** Moves the others' main budget parameter until they keep what the active policy really keeps. One undo step. */
export function useMatchBudget(): { run: () => void; enabled: boolean; running: boolean; outcome: string } {
  const store = useStore();
  const { client } = usePolicies();
  const policies = useView((view) => view.policies), active = useView((view) => view.activePolicy);
  const layer = useView((view) => view.layer), head = useView((view) => view.head);
  const [running, setRunning] = useState(false);
  const [outcome, setOutcome] = useState("");
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);
  // What was said of the last match is about these policies on this head.
  const said = useRef("");
  const now = `${policies.join(";")} ${active} ${layer} ${head}`;
  useEffect(() => {
    if (said.current !== now) setOutcome("");
  }, [now]);

  const run = (): void => {
    if (client === null) return;
    const view = store.get();
    const { activePolicy, policies: texts } = view;
    controller.current?.abort();
    const own = new AbortController();
    controller.current = own;
    setRunning(true);
    const others = texts.map((text, i) => (i === activePolicy ? "" : text));
    busy.track(client.match({ ...requestOf(view, activePolicy, view.layer, view.head), rows: "sample", others }, own.signal)).then(
      (answer) => {
        const matched = texts.map((text, i) => {
          const result = answer.results[i];
          return result?.ok === true && i !== activePolicy ? result.policy : text;
        }) as unknown as PolicyTexts;
        said.current = `${matched.join(";")} ${activePolicy} ${view.layer} ${view.head}`;
        store.set({ policies: matched });
        setOutcome(describe(answer, activePolicy));
      },
      (error: unknown) => { if (!isAbort(error)) setOutcome(policyProblem(error).text); },
    ).finally(() => { if (controller.current === own) setRunning(false); });
  };
  return { run, enabled: client !== null && policies.filter((text) => text !== "").length > 1 && policies[active] !== "", running, outcome };
}

/** "B matched to A: 1.00 x its kernel cells. C not: a retention policy has no kernel cells ..." */
export function describe({ measure, results }: MatchAnswer, active: number): string {
  return results.flatMap((result, i) => {
    const letter = LETTERS[i] as string;
    if (i === active || (!result.ok && result.reason === "")) return [];
    return result.ok
      ? [`${letter} keeps ${(result.target === 0 ? 1 : result.measure / result.target).toFixed(2)} × the ${measure} of ${LETTERS[active] as string}.`]
      : [`${letter} was not matched: ${result.reason}.`];
  }).join(" ");
}
