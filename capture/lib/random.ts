/** Seeded draws that are the same on every machine: Mulberry32, 32 bits of state, for prompts and samples of rows. */
export type Uniform = () => number;

export function uniform(seed: number): Uniform {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A seed of its own for each purpose: 32-bit FNV-1a over the parts. */
export function seedOf(...parts: readonly (string | number)[]): number {
  let hash = 0x811c9dc5;
  for (const character of parts.join("\u0000")) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193) >>> 0;
  return hash;
}

/** Whole number in [0, below). */
export const whole = (random: Uniform, below: number): number => Math.floor(random() * below);

export function pick<T>(random: Uniform, from: readonly T[]): T {
  return from[whole(random, from.length)]!;
}

/** `count` different items in random order (partial Fisher-Yates). */
export function sample<T>(random: Uniform, from: readonly T[], count: number): T[] {
  const items = [...from];
  for (let i = 0; i < count; i++) {
    const j = i + whole(random, items.length - i);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items.slice(0, count);
}
