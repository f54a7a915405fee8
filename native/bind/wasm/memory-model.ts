import type { MemoryAnswer, MemoryQuestion } from "../memory.ts";
import type { Answers } from "./answers.ts";
import type { CoreExports, LinearMemory } from "./memory.ts";

/** Columns of an answer beside its text (answer.h); those not set are empty. */
const COLUMNS = [1, 2, 3, 4, 5, 6, 7] as const;

export function askMemory(core: CoreExports, memory: LinearMemory, answers: Answers, { name, implementation, policy, config, kept, options }: MemoryQuestion): MemoryAnswer {
  return answers.guarded(() => memory.scope((copy) => {
    const texts = [name, implementation, policy].map((text) => new TextEncoder().encode(text)) as [Uint8Array, Uint8Array, Uint8Array];
    const [what, id, rule] = texts.map((text) => copy(text)) as [number, number, number];
    if (!core.memory_ask(what, texts[0].length, id, texts[1].length, rule, texts[2].length, copy(config), config.length, copy(kept), kept.length, copy(options), options.length)) return answers.failure();
    return { columns: COLUMNS.map((column) => answers.column(column, Float64Array)), text: answers.text(0) };
  }));
}
