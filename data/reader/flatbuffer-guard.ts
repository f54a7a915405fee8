/**
 * Bounds of Arrow's metadata, checked before apache-arrow decodes it: its generated readers loop over whatever vector
 * length the bytes claim, and one flipped bit can claim two billion fields.
 */
type Shape = { readonly vectors: Readonly<Record<number, number | Shape>>; readonly tables: Readonly<Record<number, Shape>> };

const pair: Shape = { vectors: { 0: 1, 1: 1 }, tables: {} };
const leaf: Shape = { vectors: {}, tables: {} };
/** Slots as in Arrow's Schema.fbs, File.fbs and Message.fbs; a number is the size of a vector's elements in bytes. */
const field: { vectors: Record<number, number | Shape>; tables: Record<number, Shape> } = { vectors: { 0: 1, 6: pair }, tables: { 3: leaf, 4: leaf } };
field.vectors[5] = field;
const schema: Shape = { vectors: { 1: field, 2: pair, 3: 8 }, tables: {} };
const footer: Shape = { vectors: { 2: 24, 3: 24, 4: pair }, tables: { 1: schema } };
const recordBatch: Shape = { vectors: { 1: 16, 2: 16, 4: 8 }, tables: { 3: leaf } };
const message: Shape = { vectors: { 4: pair }, tables: { 2: recordBatch } };

/** Throws RangeError where a table or vector lies outside of the bytes. */
export const guardFooter = (bytes: Uint8Array): void => new Guard(bytes).root(footer);
export const guardRecordBatch = (bytes: Uint8Array): void => new Guard(bytes).root(message);

class Guard {
  private readonly view: DataView;
  /** Every table takes at least its vtable offset; more of them than fit means that they alias each other. */
  private budget: number;

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.budget = bytes.length / 4;
  }

  root(shape: Shape): void { this.table(this.indirect(0), shape); }

  private table(at: number, shape: Shape): void {
    if (this.budget-- <= 0) throw new RangeError("more tables than bytes");
    const slots = at - this.view.getInt32(at, true);
    const size = this.view.getUint16(slots, true);
    if (slots < 0 || slots + size > this.view.byteLength) throw new RangeError("a table description is outside");
    const place = (slot: number): number => {
      const entry = 4 + slot * 2;
      const offset = entry < size ? this.view.getUint16(slots + entry, true) : 0;
      return offset === 0 ? 0 : this.indirect(at + offset);
    };
    for (const [slot, element] of Object.entries(shape.vectors)) {
      const vector = place(Number(slot));
      if (vector !== 0) this.vector(vector, element);
    }
    for (const [slot, inner] of Object.entries(shape.tables)) {
      const table = place(Number(slot));
      if (table !== 0) this.table(table, inner);
    }
  }

  private vector(at: number, element: number | Shape): void {
    const length = this.view.getUint32(at, true);
    const size = typeof element === "number" ? element : 4;
    if (at + 4 + length * size > this.view.byteLength) throw new RangeError(`a vector claims ${length} elements`);
    if (typeof element === "number") return;
    for (let i = 0; i < length; i++) this.table(this.indirect(at + 4 + i * 4), element);
  }

  /** DataView throws RangeError by itself where a position is outside. */
  private indirect(at: number): number { return at + this.view.getUint32(at, true); }
}
