/** Visible tokens, half-open. */
export interface TokenRange {
  begin: number;
  end: number;
}

/** Fewer tokens than this tell nothing more. */
export const FEWEST = 8;

/** Null stands for the whole sequence. Limits stay whole tokens, so that links are short. */
export function clampRange({ begin, end }: TokenRange, total: number): TokenRange | null {
  const span = Math.min(total, Math.max(Math.min(FEWEST, total), Math.round(end - begin)));
  if (span >= total) return null;
  const first = Math.min(total - span, Math.max(0, Math.round(begin)));
  return { begin: first, end: first + span };
}

/** Zooms by a factor (above 1: closer) around a token that keeps its place. */
export function zoomRange({ begin, end }: TokenRange, factor: number, around: number, total: number): TokenRange | null {
  const span = Math.max(FEWEST, (end - begin) / factor);
  const share = (around - begin) / (end - begin);
  return clampRange({ begin: around - share * span, end: around + (1 - share) * span }, total);
}

export function panRange({ begin, end }: TokenRange, tokens: number, total: number): TokenRange | null {
  const shift = Math.min(total - end, Math.max(-begin, tokens));
  return clampRange({ begin: begin + shift, end: end + shift }, total);
}
