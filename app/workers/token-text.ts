import type { Capture, Needle } from "../../data/reader/capture-types.ts";
import type { Landmarks, Phase, TokenChunk } from "./protocol.ts";

/** What is marked along the axes. Reads the token table, which is large in a long capture: ask once the map is there. */
export async function landmarks(capture: Capture, signal?: AbortSignal): Promise<Landmarks> {
  const [tokens, needles]: [{ phase: readonly string[] }, readonly Needle[]] = await Promise.all([capture.tokens(signal), capture.needles(signal)]);
  return { phases: phasesOf(tokens.phase), needles };
}

export async function tokenChunk(capture: Capture, begin: number, end: number, signal?: AbortSignal): Promise<TokenChunk> {
  const tokens = await capture.tokens(signal);
  return { text: tokens.text.slice(begin, end), class: tokens.class.slice(begin, end) };
}

/** Runs of question and decode tokens. */
export function phasesOf(phase: readonly string[]): Phase[] {
  const runs: Phase[] = [];
  for (const [i, name] of phase.entries()) {
    if (name !== "question" && name !== "decode") continue;
    const last = runs.at(-1);
    if (last !== undefined && last.name === name && last.end === i) last.end = i + 1;
    else runs.push({ name, begin: i, end: i + 1 });
  }
  return runs;
}
