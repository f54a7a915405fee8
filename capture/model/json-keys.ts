/**
 * First key that occurs twice at the top level of a JSON object, which JSON.parse would resolve silently to the last one.
 * The text must already have been accepted by JSON.parse.
 */
export function duplicateKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  let expectsKey = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      const begin = at;
      for (at++; text[at] !== '"'; at++) if (text[at] === "\\") at++;
      if (depth === 1 && expectsKey) {
        const key = JSON.parse(text.slice(begin, at + 1)) as string;
        if (seen.has(key)) return key;
        seen.add(key);
        expectsKey = false;
      }
    } else if (character === "{" || character === "[") {
      depth++;
      if (depth === 1) expectsKey = character === "{";
    } else if (character === "}" || character === "]") {
      depth--;
    } else if (character === "," && depth === 1) {
      expectsKey = true;
    }
  }
  return undefined;
}
