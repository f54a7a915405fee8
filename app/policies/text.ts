import type { PolicyCatalogue, PolicyDescriptor, PolicyParameter } from "../../native/engine.ts";

/** A policy of the catalogue with a value for each of its parameters, in order. Choices are indices, flags 0 | 1. */
export interface PolicyValues { policy: PolicyDescriptor; values: readonly number[] }

/**
 * Reads "id:name=value,..." against the catalogue; null where it names what the catalogue does not hold. Ranges are the
 * engine's to judge: this only has to agree with what writePolicy and the engine write.
 */
export function readPolicy(catalogue: PolicyCatalogue, text: string): PolicyValues | null {
  const at = text.indexOf(":");
  const policy = catalogue.policies.find(({ id }) => id === (at < 0 ? text : text.slice(0, at)));
  if (policy === undefined) return null;
  const values = policy.parameters.map(({ fallback }) => fallback);
  for (const part of at < 0 ? [] : text.slice(at + 1).split(",")) {
    const [name, value] = part.split("=");
    const index = policy.parameters.findIndex((parameter) => parameter.name === name);
    const parameter = policy.parameters[index];
    if (parameter === undefined || value === undefined) return null;
    const number = parameter.type === "choice" ? parameter.choices.indexOf(value) : value === "" ? Number.NaN : Number(value);
    if (!Number.isFinite(number) || (parameter.type === "choice" && number < 0)) return null;
    values[index] = number;
  }
  return { policy, values };
}

/** Canonical text: only what differs from the defaults. */
export function writePolicy({ policy, values }: PolicyValues): string {
  const parts = policy.parameters.flatMap((parameter, i) => (values[i] === parameter.fallback ? [] : [`${parameter.name}=${valueText(parameter, values[i] as number)}`]));
  return parts.length === 0 ? policy.id : `${policy.id}:${parts.join(",")}`;
}

/** The value the parameter can really take that is nearest: whole where it must be, within its range. */
export function fitValue(parameter: PolicyParameter, value: number): number {
  if (parameter.type === "flag") return value === 0 ? 0 : 1;
  const inside = Math.min(parameter.maximum, Math.max(parameter.minimum, value));
  if (parameter.type === "choice") return Math.min(parameter.choices.length - 1, Math.max(0, Math.round(value)));
  // Four digits are finer than a slider's pixels and keep links short.
  return parameter.type === "integer" ? Math.round(inside) : Math.min(parameter.maximum, Math.max(parameter.minimum, Number(inside.toPrecision(4))));
}

const valueText = (parameter: PolicyParameter, value: number): string => (parameter.type === "choice" ? parameter.choices[value] ?? "" : String(value));
