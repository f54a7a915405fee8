import type { ParsedPolicy, PolicyCatalogue } from "../../engine.ts";
import type { Answers } from "./answers.ts";
import type { CoreExports, LinearMemory } from "./memory.ts";

export function describePolicies(core: CoreExports, answers: Answers): PolicyCatalogue {
  return answers.guarded(() => {
    core.describe();
    return JSON.parse(answers.text(0)) as PolicyCatalogue;
  });
}

export function parsePolicy(core: CoreExports, memory: LinearMemory, answers: Answers, text: string): ParsedPolicy {
  return answers.guarded(() => memory.scope((copy) => {
    const bytes = new TextEncoder().encode(text);
    return core.parse(copy(bytes), bytes.length) ? parsed(answers) : answers.failure();
  }));
}

export function scaledPreset(core: CoreExports, memory: LinearMemory, answers: Answers, id: string, preset: string, tokens: number): ParsedPolicy {
  return answers.guarded(() => memory.scope((copy) => {
    const [a, b] = [new TextEncoder().encode(id), new TextEncoder().encode(preset)];
    return core.scaled(copy(a), a.length, copy(b), b.length, tokens) ? parsed(answers) : answers.failure();
  }));
}

function parsed(answers: Answers): ParsedPolicy {
  return { id: answers.text(0), text: answers.text(1), values: [...answers.column(2, Float64Array)] };
}
