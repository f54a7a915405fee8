import { AttnscopeError } from "../../data/errors.ts";

/** An error as a person reads it: code, sentence, and what to do, which our sentences hold after their colon. */
export interface Problem {
  code: string;
  sentence: string;
  next: string;
}

/** A sentence of ours says what happened, a colon or semicolon, what to do. Anything else is our own fault. */
export function problemOf(error: unknown): Problem {
  if (error instanceof AttnscopeError) {
    const at = splitPoint(error.message);
    return at < 0
      ? { code: error.code, sentence: error.message, next: "" }
      : { code: error.code, sentence: `${error.message.slice(0, at)}.`, next: capital(error.message.slice(at + 1).trim()) };
  }
  const detail = error instanceof Error ? error.message : String(error);
  return {
    code: "E_INTERNAL", sentence: `The viewer failed: ${detail}`,
    next: "This is a fault in attnscope. Reload the page; if it happens again, report it with the steps that led here.",
  };
}

/** The last ": " or "; " outside of brackets and quotes that starts the advice. */
function splitPoint(message: string): number {
  const matches = [...message.matchAll(/[:;] (?=[a-z])/g)];
  return matches.at(-1)?.index ?? -1;
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
