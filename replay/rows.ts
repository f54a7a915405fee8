import type { PolicyDescriptor } from "../native/engine.ts";

/** Prompt rows a prefill policy is judged by: its end, where its own estimate looks too, and what came before. */
export const LAST_ROWS = 64;
export const EARLIER_ROWS = 192;
/** Rows from the context on that retention and retrieval are judged by. */
export const LATER_ROWS = 256;
/** A strip of all rows is rows x tokens x 4 bytes; above this an even part of them is taken. */
export const STRIP_BYTES = 256 * 1024 * 1024;
const SEED = 1;

export interface RowChoice {
  rows: Uint32Array;
  /** Rows of the sequence the family acts on, and those of them whose query is stored. */
  of: number;
  stored: number;
  text: string;
}

export interface RowSource {
  /** Positions with stored queries, ascending: prompt and decode. */
  stored: Uint32Array;
  promptTokens: number;
  totalTokens: number;
  context: number;
}

/** Prefill policies act on prompt rows, the others from the context on. */
export function chooseRows(family: PolicyDescriptor["family"], mode: "sample" | "all", source: RowSource): RowChoice {
  const { promptTokens, totalTokens } = source;
  const begin = family === "prefill" ? 0 : Math.min(source.context, totalTokens);
  const end = family === "prefill" ? promptTokens : totalTokens;
  const stored = source.stored.filter((position) => position >= begin && position < end);
  const of = end - begin;
  const where = family === "prefill" ? "of the prompt" : `from token ${begin} on`;
  if (mode === "all") {
    const most = Math.max(1, Math.floor(STRIP_BYTES / (4 * Math.max(1, totalTokens))));
    const rows = stored.length <= most ? stored : stratified(stored, begin, end, most);
    return { rows, of, stored: stored.length, text: rows.length === of ? `all ${of} rows ${where}` : rows.length === stored.length ? `all ${rows.length} stored rows ${where}` : `${rows.length} of ${stored.length} stored rows ${where}: what fits` };
  }
  if (family !== "prefill") {
    const rows = stored.length <= LATER_ROWS ? stored : stratified(stored, begin, end, LATER_ROWS);
    return { rows, of, stored: stored.length, text: rows.length === of ? `all ${of} rows ${where}` : `${rows.length} rows ${where}` };
  }
  const split = Math.max(0, end - LAST_ROWS);
  const last = stored.filter((position) => position >= split);
  const earlier = stratified(stored.filter((position) => position < split), 0, split, EARLIER_ROWS);
  const rows = new Uint32Array(earlier.length + last.length);
  rows.set(earlier);
  rows.set(last, earlier.length);
  return { rows, of, stored: stored.length, text: rows.length === of ? `all ${of} rows ${where}` : `last ${last.length} ${where}, ${earlier.length} earlier` };
}

/**
 * At most `count` of the positions: one from each of `count` equal parts of [begin, end), chosen by a seeded hash; a part
 * without a stored row stays empty, so that no stretch of the sequence weighs more than another.
 */
export function stratified(positions: Uint32Array, begin: number, end: number, count: number): Uint32Array {
  const chosen: number[] = [];
  let i = 0;
  for (let part = 0; part < count; part++) {
    const until = begin + ((part + 1) * (end - begin)) / count;
    const first = i;
    while (i < positions.length && (positions[i] as number) < until) i++;
    if (i > first) chosen.push(positions[first + (hash(SEED, part) % (i - first))] as number);
  }
  return Uint32Array.from(chosen);
}

/** A 32-bit mix of two numbers (the finaliser of MurmurHash3). */
function hash(seed: number, index: number): number {
  let h = Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(seed, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Where the question begins, or (none marked) where the last 64 prompt tokens do, at most a quarter of it. */
export function defaultContext(phase: readonly string[], promptTokens: number): number {
  const question = phase.indexOf("question");
  return question > 0 && question < promptTokens ? question : promptTokens - Math.min(64, Math.floor(promptTokens / 4));
}
