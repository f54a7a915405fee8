/** Tokens of one block: the unit that is put on the page or left out. */
export const BLOCK_TOKENS = 128;

/** Heights of the blocks of a text, measured where they were shown and guessed elsewhere, and the tops that follow. */
export class ProseLayout {
  private readonly measured: Float64Array;
  private readonly tops: Float64Array;
  private width = 0;

  constructor(readonly tokens: number) {
    const blocks = Math.ceil(tokens / BLOCK_TOKENS);
    this.measured = new Float64Array(blocks);
    this.tops = new Float64Array(blocks + 1);
  }

  get blocks(): number { return this.measured.length; }
  get height(): number { return this.tops[this.blocks] as number; }
  top(block: number): number { return this.tops[block] as number; }

  /** Another width wraps differently: everything is a guess again. `guess`: height of a block of average text. */
  resize(width: number, guess: number): void {
    if (width === this.width) return;
    this.width = width;
    this.measured.fill(0);
    this.place(guess);
  }

  /** Takes a measured height; true if anything moved. */
  measure(block: number, height: number): boolean {
    if (Math.abs((this.measured[block] as number) - height) < 0.5) return false;
    this.measured[block] = height;
    const known = this.measured.filter((value) => value > 0);
    this.place(known.reduce((sum, value) => sum + value, 0) / known.length);
    return true;
  }

  /** Blocks that touch [top, bottom), at most `most`. */
  visible(top: number, bottom: number, most: number): { first: number; end: number } {
    let low = 0, high = this.blocks;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.tops[middle + 1] as number) <= top) low = middle + 1;
      else high = middle;
    }
    let end = low;
    while (end < this.blocks && end - low < most && (this.tops[end] as number) < bottom) end++;
    return { first: low, end };
  }

  private place(guess: number): void {
    for (let i = 0; i < this.blocks; i++) this.tops[i + 1] = (this.tops[i] as number) + ((this.measured[i] as number) || guess);
  }
}
