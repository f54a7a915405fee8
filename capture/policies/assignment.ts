import { z } from "zod";
import type { CoreEngine, ModelPlan, PolicyDescriptor } from "../../native/engine.ts";
import { describeFailure, userError } from "../lib/failure.ts";
import { describeIssue, readJsonFile } from "../lib/json-file.ts";
import { readBestPattern } from "./best-pattern.ts";

/** Which head runs which policy. */
export interface Assignment {
  /** For tables and files: the policy's canonical text, or the file's name. */
  label: string;
  /** Canonical texts, each once. */
  policies: string[];
  /** Index into policies by layer * heads + head. */
  heads: Int32Array;
  /** Of the policies, each once. */
  descriptors: PolicyDescriptor[];
  remarks: string[];
}

/** Refuses yardsticks that read what is still to come, before anything runs; the engine would, when their turn comes. */
export function checkRunnable(assignments: readonly Assignment[]): void {
  for (const { label, descriptors } of assignments) {
    const ahead = descriptors.find(({ needsFuture }) => needsFuture);
    if (ahead !== undefined) throw userError("E_POLICY_REPLAY_ONLY", `${label}: policy ${ahead.id} looks at attention that is still to come, which a run cannot know; replay it over a capture with attnscope eval.`);
  }
}

type Shape = Pick<ModelPlan, "layers" | "heads">;

/** One policy in every head. */
export function uniformAssignment(engine: CoreEngine, text: string, { layers, heads }: Shape): Assignment {
  const parsed = engine.parsePolicy(text);
  return { label: parsed.text, policies: [parsed.text], heads: new Int32Array(layers * heads), descriptors: [descriptorOf(engine, parsed.id)], remarks: [] };
}

const fileSchema = z.strictObject({ default: z.string().min(1).default("dense"), heads: z.record(z.string(), z.string().min(1)).default({}) });

/** {"default": policy, "heads": {"3.5": policy, "2.*": policy}}, or MInference's best_pattern list. */
export async function fileAssignment(engine: CoreEngine, path: string, shape: Shape): Promise<Assignment> {
  const value = await readJsonFile(path, "E_POLICY_FILE");
  if (Array.isArray(value)) {
    const { texts, remarks } = readBestPattern(value, path, shape.layers, shape.heads);
    return { ...collect(engine, path, texts, (i) => `[${Math.floor(i / shape.heads)}]["${i % shape.heads}"]`), remarks };
  }
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) throw userError("E_POLICY_FILE", `${path}: ${describeIssue(parsed.error)}; see docs/cli.md for the two kinds of policy files.`);
  const texts: string[] = Array.from({ length: shape.layers * shape.heads }, () => parsed.data.default);
  const places: string[] = texts.map(() => "default");
  for (const [key, text] of Object.entries(parsed.data.heads)) {
    for (const i of headsOf(key, path, shape)) {
      texts[i] = text;
      places[i] = `heads[${JSON.stringify(key)}]`;
    }
  }
  return collect(engine, path, texts, (i) => places[i]!);
}

/** Heads of "3.5", "3.*", "*.5" or "*.*", layer-major. */
function headsOf(key: string, path: string, { layers, heads }: Shape): number[] {
  const refuse = (reason: string): Error => userError("E_POLICY_FILE", `${path}: heads[${JSON.stringify(key)}] ${reason}.`);
  const match = /^(\*|\d{1,6})\.(\*|\d{1,6})$/.exec(key.trim());
  if (match === null) throw refuse("is not layer.head; write 3.5, 3.* or *.5");
  const range = (text: string, count: number, what: string): number[] => {
    if (text === "*") return Array.from({ length: count }, (_, i) => i);
    if (Number(text) >= count) throw refuse(`names ${what} ${text}, and the model has ${what}s 0 to ${count - 1}`);
    return [Number(text)];
  };
  const [, layer = "", head = ""] = match;
  return range(layer, layers, "layer").flatMap((l) => range(head, heads, "head").map((h) => l * heads + h));
}

/** Checks every text once and gives equal policies one number. `place` names the field a head's text came from. */
function collect(engine: CoreEngine, path: string, texts: readonly string[], place: (head: number) => string): Assignment {
  const canonical = new Map<string, number>();
  const policies: string[] = [], descriptors: PolicyDescriptor[] = [];
  const heads = Int32Array.from(texts, (text, i) => {
    const seen = canonical.get(text);
    if (seen !== undefined) return seen;
    const parsed = parseIn(engine, text, `${path}: ${place(i)}`);
    let index = policies.indexOf(parsed.text);
    if (index < 0) {
      index = policies.push(parsed.text) - 1;
      descriptors.push(descriptorOf(engine, parsed.id));
    }
    canonical.set(text, index);
    return index;
  });
  return { label: path, policies, heads, descriptors, remarks: [] };
}

function parseIn(engine: CoreEngine, text: string, where: string): ReturnType<CoreEngine["parsePolicy"]> {
  try {
    return engine.parsePolicy(text);
  } catch (error) {
    const { code, message } = describeFailure(error);
    if (!code.startsWith("E_POLICY_")) throw error;
    throw userError(code, `${where}: ${message}`, error);
  }
}

function descriptorOf(engine: CoreEngine, id: string): PolicyDescriptor {
  const found = engine.describePolicies().policies.find((policy) => policy.id === id);
  if (found === undefined) throw new Error(`policy ${id} is parsed but not described`);
  return found;
}
