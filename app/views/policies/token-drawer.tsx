import { useMemo, useState } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { useAsync } from "../../lib/use-async.ts";
import { missedMap } from "../../marks/colour-maps.ts";
import type { ThemeName } from "../../marks/palette.ts";
import { usePalette } from "../../marks/theme.ts";
import { usePolicies } from "../../policies/context.tsx";
import { LETTERS, requestOf } from "../../policies/pane-policy.ts";
import { policyProblem } from "../../policies/problem.ts";
import { requestKey } from "../../policies/slot.ts";
import { readPolicy } from "../../policies/text.ts";
import { MISSED_STEPS } from "../../policies/token-look.ts";
import { useLatest } from "../../policies/use-latest.ts";
import { useView } from "../../state/store.ts";
import { useTiles } from "../head/use-head-data.ts";
import { Chip } from "./chip.tsx";
import { TokenProse } from "./token-prose.tsx";

const NO_MARKS = { needles: [], phases: [] };

/** The text of the sequence, coloured by what the active policy does to each token. */
export function TokenDrawer({ capture }: { capture: Capture }) {
  const { client, catalogue } = usePolicies();
  const [version, setVersion] = useState(0);
  const { service, error: poolError } = useTiles(capture, () => setVersion((n) => n + 1));
  const policies = useView((view) => view.policies), active = useView((view) => view.activePolicy), rowsMode = useView((view) => view.rowsMode);
  const context = useView((view) => view.context), chunk = useView((view) => view.chunk), layer = useView((view) => view.layer), head = useView((view) => view.head);
  const marks = useAsync(service === null ? null : (signal) => service.landmarks(signal), [service]);
  const request = useMemo(() => requestOf({ policies, context, chunk, rowsMode }, active, layer, head), [policies, context, chunk, rowsMode, active, layer, head]);
  const fate = useLatest(
    client === null || request.policy === "" ? null : (signal) => client.fate(request, signal),
    requestKey(request), `${layer}.${head}.${rowsMode}.${context ?? ""}`,
  );
  const palette = usePalette();
  const colours = useMemo(() => missedStyles(palette.name), [palette]);
  const family = catalogue.value === null ? undefined : readPolicy(catalogue.value.catalogue, request.policy)?.policy.family;
  const lastRow = (family === "prefill" ? capture.promptTokens : capture.totalTokens) - 1;
  const problem = poolError ?? fate.error;
  return (
    <div className="token-drawer" style={colours}>
      <p className="drawer-note" data-stale={!fate.fresh && request.policy !== ""}>
        {request.policy === "" ? <span className="quiet">No policy is chosen: plain text. Pick one on the right.</span> : (
          <>
            <Chip index={active} />
            <span className="key-look k4">kept</span><span className="key-look k0">dropped</span><span className="key-look k4 forced">forced</span>
            <span className="key-look m5 k0">missed mass</span><span className="key-look k4 needle">needle</span>
            {fate.value !== null && <span className="quiet">by policy {LETTERS[active]} over {fate.value.rows.text}</span>}
          </>
        )}
        {problem !== null && problem !== undefined && <span className="danger" role="alert">{policyProblem(problem).text}</span>}
      </p>
      {service !== null && <TokenProse total={capture.totalTokens} lastRow={lastRow} texts={service.tokens} version={version} keys={fate.value?.keys ?? null} marks={marks.value ?? NO_MARKS} />}
    </div>
  );
}

/** --m1 to --m8 and the text colour on each: dark on light, light on dark. */
function missedStyles(theme: ThemeName): React.CSSProperties {
  const map = missedMap(theme);
  return Object.fromEntries(Array.from({ length: MISSED_STEPS }, (_, i) => i + 1).flatMap((step) => {
    const [r, g, b] = map(step / MISSED_STEPS);
    return [[`--m${step}`, `rgb(${r} ${g} ${b})`], [`--t${step}`, 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#141517" : "#ffffff"]];
  }));
}
