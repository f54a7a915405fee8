import type { CatalogueAnswer } from "./protocol.ts";

/** From this length on the published settings, made for 128K, mean what they meant there. */
export const PUBLISHED_FROM_TOKENS = 32_768;

/** The text a policy starts with: its first preset, scaled on short prompts. */
export function startText({ presets, promptTokens }: Pick<CatalogueAnswer, "presets" | "promptTokens">, id: string): string {
  const preset = presets[id]?.[0];
  if (preset === undefined) return id;
  return promptTokens < PUBLISHED_FROM_TOKENS ? (preset.scaled ?? preset.published).text : preset.published.text;
}
