import type { Hasher } from "./hasher.ts";

/** SHA-256 (FIPS 180-4) in plain arithmetic: WebCrypto is neither incremental nor there on pages served without TLS. */

const isPrime = (n: number): boolean => {
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false;
  return true;
};
const primes: number[] = [];
for (let n = 2; primes.length < 64; n++) if (isPrime(n)) primes.push(n);
const fraction = (x: number): number => ((x - Math.floor(x)) * 2 ** 32) | 0;
const ROUND = Int32Array.from(primes, (p) => fraction(Math.cbrt(p)));
const INITIAL = Int32Array.from(primes.slice(0, 8), (p) => fraction(Math.sqrt(p)));
const rotate = (x: number, by: number): number => (x >>> by) | (x << (32 - by));

export function sha256(): Hasher {
  const state = INITIAL.slice();
  const words = new Int32Array(64);
  const block = new Uint8Array(64);
  let filled = 0;
  let total = 0;

  const compress = (bytes: Uint8Array, at: number): void => {
    for (let i = 0; i < 16; i++, at += 4) words[i] = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    for (let i = 16; i < 64; i++) {
      const a = words[i - 15]!, b = words[i - 2]!;
      const s0 = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3), s1 = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10);
      words[i] = words[i - 16]! + s0 + words[i - 7]! + s1;
    }
    let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
    for (let i = 0; i < 64; i++) {
      const t1 = (h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + ROUND[i]! + words[i]!) | 0;
      const t2 = ((rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((x, i) => { state[i] = state[i]! + x; });
  };

  return {
    update(bytes) {
      total += bytes.length;
      let at = 0;
      if (filled > 0) {
        at = Math.min(64 - filled, bytes.length);
        block.set(bytes.subarray(0, at), filled);
        filled += at;
        if (filled < 64) return;
        compress(block, 0);
        filled = 0;
      }
      for (; at + 64 <= bytes.length; at += 64) compress(bytes, at);
      block.set(bytes.subarray(at));
      filled = bytes.length - at;
    },
    digest() {
      const bits = new DataView(new ArrayBuffer(8));
      bits.setBigUint64(0, BigInt(total) * 8n);
      const padding = new Uint8Array(((filled < 56 ? 56 : 120) - filled));
      padding[0] = 0x80;
      this.update(padding);
      this.update(new Uint8Array(bits.buffer));
      return Array.from(state, (x) => (x >>> 0).toString(16).padStart(8, "0")).join("");
    },
  };
}
