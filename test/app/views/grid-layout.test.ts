import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cellAt, layoutGrid, neighbour, type GridShape } from "../../../app/views/home/grid-layout.ts";

const shape = (change: Partial<GridShape> = {}): GridShape => ({ layers: 4, heads: 8, kvHeads: 2, width: 900, ranked: null, largest: 256, smallest: 6, ...change });

const shapes = fc.record({ layers: fc.integer({ min: 1, max: 40 }), group: fc.integer({ min: 1, max: 8 }), kvHeads: fc.integer({ min: 1, max: 8 }), width: fc.integer({ min: 200, max: 2000 }), ranked: fc.boolean() })
  .map(({ layers, group, kvHeads, width, ranked }) => shape({
    layers, heads: group * kvHeads, kvHeads, width, ranked: ranked ? Array.from({ length: layers * group * kvHeads }, (_, i) => layers * group * kvHeads - 1 - i) : null,
  }));

describe("layoutGrid", () => {
  it("gives every head one cell, none over another, each found again under its own middle", () => {
    fc.assert(fc.property(shapes, (given) => {
      const layout = layoutGrid(given);
      expect(new Set(layout.cells.map(({ layer, head }) => layer * given.heads + head)).size).toBe(given.layers * given.heads);
      for (const cell of layout.cells) expect(cellAt(layout, cell.x + layout.cell / 2, cell.y + layout.cell / 2)).toBe(cell);
    }), { numRuns: 60 });
  });

  it("sets kv groups apart with one line between two", () => {
    const layout = layoutGrid(shape());
    expect(layout.groupLines).toHaveLength(1);
    const line = layout.groupLines[0] as number;
    const [left, right] = [layout.cells[3]!, layout.cells[4]!];
    expect(line).toBeGreaterThan(left.x + layout.cell);
    expect(line).toBeLessThan(right.x);
  });

  it("gives each cell of a large thumbnail the same whole number of pixels", () => {
    const layout = layoutGrid(shape({ thumbSide: 17, width: 1400 }));
    expect(layout.cell % 17).toBe(0);
  });

  it("fits 32 heads into the rail", () => {
    expect(layoutGrid(shape({ layers: 32, heads: 32, kvHeads: 8, width: 216, smallest: 4 })).width).toBeLessThanOrEqual(216);
  });

  it("moves by arrow keys and stays inside", () => {
    const layout = layoutGrid(shape());
    const first = layout.cells[0]!;
    expect(neighbour(layout, first, "ArrowLeft")).toBe(first);
    expect(neighbour(layout, first, "ArrowDown")).toMatchObject({ layer: 1, head: 0 });
    expect(neighbour(layout, layout.cells[7]!, "ArrowRight")).toMatchObject({ layer: 0, head: 7 });
    expect(neighbour(layout, first, "End")).toMatchObject({ layer: 3, head: 7 });
  });

  it("moves through a ranked list in its own order", () => {
    const layout = layoutGrid(shape({ ranked: [9, 3, 31] }));
    expect(neighbour(layout, layout.cells[0]!, "ArrowRight")).toMatchObject({ layer: 0, head: 3 });
  });
});
