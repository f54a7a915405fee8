import type { PolicyCatalogue, PolicyDescriptor, PolicyParameter } from "../../native/engine.ts";
import { printJson, printLine } from "../lib/output.ts";
import { formatTable } from "../lib/text-format.ts";

/** Everything the engine says of its policies and metrics. */
export function listCatalogue(catalogue: PolicyCatalogue, json: boolean): void {
  if (json) {
    printJson(catalogue);
    return;
  }
  for (const policy of catalogue.policies) printLine(`${describePolicy(policy)}\n`);
  printLine(formatTable(["metric", "unit", "kind", "better"], catalogue.metrics.map(({ name, unit, kind, better }) => [name, unit, kind, better === "" ? "-" : better])));
}

function describePolicy(policy: PolicyDescriptor): string {
  const labels = [
    policy.family, `decided by ${policy.unit}`, policy.granularity, policy.phase, `frees ${policy.frees}`, `sees queries: ${policy.queryAware}`,
    ...(policy.sampled ? ["sampled"] : []), ...(policy.needsFuture ? ["reads rows to come"] : []), ...(policy.yardstick ? ["yardstick"] : []),
  ];
  const lines = [`${policy.id}: ${policy.title}`, `  ${labels.join("; ")}`, `  ${policy.doc}`, ...(policy.source === "" ? [] : [`  ${policy.source}`])];
  for (const parameter of policy.parameters) lines.push(`    ${parameter.name} = ${valueText(parameter, parameter.fallback)}  (${range(parameter)}) ${parameter.doc}`);
  for (const { name, values, contextTokens } of policy.presets) {
    const settings = policy.parameters.map((parameter, i) => `${parameter.name}=${valueText(parameter, values[i] ?? parameter.fallback)}`).join(",");
    lines.push(`    preset=${name}: ${settings === "" ? "no parameters" : settings}${contextTokens > 0 ? ` at ${contextTokens} tokens; preset=${name}@N scales it to N` : ""}`);
  }
  return lines.join("\n");
}

const valueText = ({ type, choices }: PolicyParameter, value: number): string => (type === "choice" ? choices[value] ?? String(value) : String(value));
const range = ({ type, minimum, maximum, unit, choices }: PolicyParameter): string =>
  type === "choice" ? choices.join(" | ") : type === "flag" ? "0 | 1" : `${minimum} to ${maximum}${unit === "" ? "" : ` ${unit}`}`;
