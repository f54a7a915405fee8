import type { KeyFateValues } from "../../native/engine.ts";

/** How many steps of dimness a token's share of rows that keep it is shown in. */
export const KEPT_STEPS = 4;
/** Missed mass is a colour from this place of the map's colour range on, in as many steps as can be told apart in text. */
export const MISSED_STEPS = 8;

export interface TokenLook {
  /** KEPT_STEPS: kept by every row; 0: dropped by every row; -1: no evaluated row sees it. */
  kept: number;
  forced: boolean;
  /** 0: none that matters; else a step of the missed colours. */
  missed: number;
}

const UNSEEN: TokenLook = { kept: -1, forced: false, missed: 0 };

/** `place`: a mass on the colour range, 0 to 1; `from`: where missed mass begins to matter on it. */
export function tokenLook(keys: KeyFateValues | null, token: number, place: (mass: number) => number, from: number): TokenLook {
  const kept = keys?.kept[token] ?? Number.NaN;
  if (keys === null || Number.isNaN(kept)) return UNSEEN;
  const at = place(keys.missed[token] ?? 0);
  // A key that one row of many keeps is not dropped, and one that a single row drops is not kept.
  const step = kept >= 1 ? KEPT_STEPS : kept <= 0 ? 0 : Math.min(KEPT_STEPS - 1, Math.max(1, Math.round(kept * KEPT_STEPS)));
  return { kept: step, forced: (keys.forced[token] ?? 0) >= 0.5, missed: at < from ? 0 : Math.max(1, Math.ceil(((at - from) / (1 - from)) * MISSED_STEPS)) };
}

const percent = (value: number): string => `${(100 * value).toFixed(value > 0 && value < 0.01 ? 1 : 0)} %`;

/** In words, for the title of a token. */
export function fateText(keys: KeyFateValues | null, token: number): string {
  const kept = keys?.kept[token] ?? Number.NaN;
  if (keys === null || Number.isNaN(kept)) return "seen by no evaluated row";
  const forced = keys.forced[token] ?? 0, missed = keys.missed[token] ?? 0;
  return [
    kept >= 1 ? "kept by every evaluated row that sees it" : kept <= 0 ? "dropped by every evaluated row that sees it" : `kept by ${percent(kept)} of the evaluated rows that see it`,
    ...(forced > 0 ? [`forced in ${percent(forced)}`] : []),
    ...(missed > 0 ? [`mean mass missed ${missed.toExponential(1)}`] : []),
  ].join("; ");
}
