import { AttnscopeError } from "../../../data/errors.ts";

const STEP_MS = 50;
/** A path over a long head takes seconds; nothing in sight takes this long. */
const LONGEST_MS = 120_000;

/**
 * Waits until a chart is complete. By its own state, not by the window's count of work: the export that waits is itself
 * part of that count.
 */
export async function waitFor(complete: () => boolean, longest = LONGEST_MS): Promise<void> {
  for (let waited = 0; !complete(); waited += STEP_MS) {
    if (waited >= longest) throw new AttnscopeError("E_FIGURE_INCOMPLETE", "The chart is still being computed: wait until its last point is drawn, then export again.");
    await new Promise((resolve) => { setTimeout(resolve, STEP_MS); });
  }
}
