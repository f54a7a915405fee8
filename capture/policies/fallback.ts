/** What became of a head under the rule "dense below this estimate". */
export interface Fallback {
  /** Recall that was known without looking at other rows than the last 64. */
  estimated: number;
  dense: boolean;
  /** Trusted (estimated >= threshold) although the evaluated recall lies below. */
  missed: boolean;
  /** Run dense although the evaluated recall reaches the threshold. */
  needless: boolean;
  recallAfter: number;
  workAfter: number;
}

export interface FallbackInput { estimated: number; recall: number; work: number; denseWork: number; threshold: number }

/** An estimate that is not there trusts nothing. */
export function fallBack({ estimated, recall, work, denseWork, threshold }: FallbackInput): Fallback {
  const dense = !(estimated >= threshold);
  return {
    estimated, dense, missed: !dense && recall < threshold, needless: dense && recall >= threshold,
    recallAfter: dense ? 1 : recall, workAfter: dense ? denseWork : work,
  };
}
