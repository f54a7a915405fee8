/** States that can be gone back to. Older ones than HISTORY_LIMIT are forgotten. */
export const HISTORY_LIMIT = 100;

export class History<T> {
  private past: T[] = [];
  private future: T[] = [];

  /** Records the state that is about to be left; what was undone is forgotten. */
  push(left: T): void {
    this.past.push(left);
    if (this.past.length > HISTORY_LIMIT) this.past.shift();
    this.future = [];
  }

  undo(current: T): T | null {
    const previous = this.past.pop();
    if (previous === undefined) return null;
    this.future.push(current);
    return previous;
  }

  redo(current: T): T | null {
    const next = this.future.pop();
    if (next === undefined) return null;
    this.past.push(current);
    return next;
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }
}
