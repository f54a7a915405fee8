/** Query rows that level replay keeps for every head: the last ones, and one per equal stratum of the earlier ones. */
export interface QueryRowSettings { last: number; stratified: number; seed: number }

/** Mulberry32: 32 bits of state, enough for a few hundred draws that must be repeatable anywhere. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Ascending positions; all of them where the prompt is no longer than the sample. */
export function sampleQueryRows(promptTokens: number, { last, stratified, seed }: QueryRowSettings): Uint32Array {
  const earlier = Math.max(0, promptTokens - last);
  const rows: number[] = [];
  if (earlier <= stratified) {
    for (let row = 0; row < earlier; row++) rows.push(row);
  } else {
    const random = generator(seed);
    for (let stratum = 0; stratum < stratified; stratum++) {
      const begin = Math.floor((stratum * earlier) / stratified);
      const end = Math.floor(((stratum + 1) * earlier) / stratified);
      rows.push(begin + Math.floor(random() * (end - begin)));
    }
  }
  for (let row = earlier; row < promptTokens; row++) rows.push(row);
  return Uint32Array.from(rows);
}
