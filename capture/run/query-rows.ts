import { uniform } from "../lib/random.ts";

/** Query rows that level replay keeps for every head: the last ones, and one per equal stratum of the earlier ones. */
export interface QueryRowSettings { last: number; stratified: number; seed: number }

/** Ascending positions; all of them where the prompt is no longer than the sample. */
export function sampleQueryRows(promptTokens: number, { last, stratified, seed }: QueryRowSettings): Uint32Array {
  const earlier = Math.max(0, promptTokens - last);
  const rows: number[] = [];
  if (earlier <= stratified) {
    for (let row = 0; row < earlier; row++) rows.push(row);
  } else {
    const random = uniform(seed);
    for (let stratum = 0; stratum < stratified; stratum++) {
      const begin = Math.floor((stratum * earlier) / stratified);
      const end = Math.floor(((stratum + 1) * earlier) / stratified);
      rows.push(begin + Math.floor(random() * (end - begin)));
    }
  }
  for (let row = earlier; row < promptTokens; row++) rows.push(row);
  return Uint32Array.from(rows);
}
