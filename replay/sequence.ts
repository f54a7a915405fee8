import type { Capture } from "../data/reader/capture-types.ts";

/** What is the same for every head of a capture, as the engine takes it. */
export interface SequenceFacts {
  /** Index into PolicyCatalogue.tokenClasses by token. */
  classes: Uint8Array;
  /** begin, end pairs. */
  needles: Uint32Array;
  phase: readonly string[];
}

/** Token classes, needles and phases; `classes` names the classes in the engine's order. */
export async function readSequence(capture: Capture, classes: readonly string[], signal?: AbortSignal): Promise<SequenceFacts> {
  const [tokens, needles] = await Promise.all([capture.tokens(signal), capture.needles(signal)]);
  const other = Math.max(0, classes.indexOf("other"));
  const index = new Map(classes.map((name, i) => [name, i]));
  return {
    classes: Uint8Array.from(tokens.class, (name) => index.get(name) ?? other),
    needles: Uint32Array.from(needles.flatMap(({ token_begin, token_end }) => [token_begin, token_end])),
    phase: tokens.phase,
  };
}
