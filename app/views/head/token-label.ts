/** A token's text as a label: whitespace visible, one line, at most `length` characters. */
export function tokenLabel(text: string, length: number): string {
  const visible = visibleText(text);
  const characters = [...visible];
  return characters.length <= length ? visible : `${characters.slice(0, length - 1).join("")}…`;
}

/** Spaces as open boxes, line ends and tabs as their signs, other control characters as their code. */
export function visibleText(text: string): string {
  if (text === "") return "∅";
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replaceAll(" ", "␣").replaceAll("\r", "␍").replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(/[\u0000-\u001f\u007f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** Width of a token on screen from which texts replace plain ticks. */
export const TOKEN_TEXT_PX = 10;
