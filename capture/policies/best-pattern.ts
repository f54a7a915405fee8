import { z } from "zod";
import { userError } from "../lib/failure.ts";
import { describeIssue } from "../lib/json-file.ts";

/** [type, v, s, score] of one query head, as MInference's offline search writes it. */
const patternSchema = z.tuple([z.string(), z.number(), z.number(), z.number()]);
const layersSchema = z.array(z.record(z.string(), patternSchema));

/** Of block-sparse heads v and s are ignored and this many blocks are kept (minference_forward.py). */
const BLOCK_SPARSE_TOP_K = 100;
/** What MInference runs for a head that its file leaves out (minference_forward.py). */
const LEFT_OUT = "vertical-slash:v=1000,s=6096";

/** What each head runs, layer-major, as policy texts that the engine has yet to check. */
export interface BestPattern { texts: string[]; remarks: string[] }

/** MInference's best_pattern JSON: a list by layer of {"head": [type, v, s, score]}. */
export function readBestPattern(value: unknown, path: string, layers: number, heads: number): BestPattern {
  const refuse = (reason: string): Error => userError("E_POLICY_FILE", `${path}: ${reason}.`);
  const parsed = layersSchema.safeParse(value);
  if (!parsed.success) throw refuse(`${describeIssue(parsed.error)}; a best_pattern file is a list by layer of {"head": [type, v, s, score]}`);
  if (parsed.data.length !== layers) throw refuse(`it lists ${parsed.data.length} layers and the model has ${layers}; use the file of this model`);
  const texts: string[] = Array.from({ length: layers * heads }, () => LEFT_OUT);
  const scores: number[] = [];
  let given = 0;
  for (const [layer, entries] of parsed.data.entries()) {
    for (const [key, [type, v, s, score]] of Object.entries(entries)) {
      const at = `[${layer}][${JSON.stringify(key)}]`;
      const head = Number(key);
      if (!/^\d+$/.test(key) || head >= heads) throw refuse(`${at} names no query head of this model, which has heads 0 to ${heads - 1}; use the file of this model`);
      const text = policyText(type, v, s);
      if (text === undefined) throw refuse(`${at}[0] is ${JSON.stringify(type)}; known are stream_llm, vertical_and_slash and block_sparse`);
      texts[layer * heads + head] = text;
      scores.push(score);
      given++;
    }
  }
  const remarks = [describeScores(scores, path)];
  if (given < texts.length) remarks.push(`${path} leaves out ${texts.length - given} heads; they run ${LEFT_OUT}, as in MInference`);
  return { texts, remarks };
}

function policyText(type: string, v: number, s: number): string | undefined {
  if (type === "stream_llm") return `a-shape:n_init=${v},n_local=${s}`;
  if (type === "vertical_and_slash") return `vertical-slash:v=${v},s=${s}`;
  return type === "block_sparse" ? `block-sparse:top_k=${BLOCK_SPARSE_TOP_K}` : undefined;
}

/** Recalls exceed 1 by rounding alone; counts of wrong elements are whole and mostly huge. */
const MOST_RECALL = 1.01;

function describeScores(scores: readonly number[], path: string): string {
  if (scores.length === 0) return `${path} holds no head`;
  let most = scores[0]!, sum = 0;
  for (const score of scores) {
    most = Math.max(most, score);
    sum += score;
  }
  return most > MOST_RECALL
    ? `the scores of ${path} are counts of differing output elements (0 to ${most}): less is better, and they are no recall`
    : `the scores of ${path} are shares of attention mass recalled in its search, on average ${(sum / scores.length).toFixed(3)}; a block-sparse search result written as vertical-slash carries the block-sparse recall`;
}
