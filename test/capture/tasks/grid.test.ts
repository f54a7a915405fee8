import { describe, expect, test } from "vitest";
import { cellOf, collectGrids, type Grid } from "../../../capture/tasks/grid.ts";
import { describeCounts, gridSvg } from "../../../capture/tasks/grid-svg.ts";
import type { ScoreRecord } from "../../../capture/tasks/score-journal.ts";

const record = (more: Partial<ScoreRecord>): ScoreRecord => ({
  task: "passkey", length: 256, depth: 0, sample: 0, seed: 1, policy: "dense", family: "prefill", score: 1, expected: "", produced: "", promptTokens: 0, producedTokens: 0,
  context: 0, sawQuestion: "no", residentTokens: 0, keptBytes: 0, denseBytes: 0, prefillCells: 0, prefillKernelCells: 0, seconds: 0, ...more,
});

test("means, counts and standard errors by depth and length; what was not asked stays empty", () => {
  const grids = collectGrids([record({ score: 1, depth: 0.5, length: 512 }), record({ score: 0, depth: 0.5, length: 512, sample: 1 }), record({ score: 0.25 }), record({ policy: "random", score: 0 }), record({ task: "common-words", depth: null })]);
  expect(grids.map(({ task, policy }) => [task, policy])).toEqual([["passkey", "dense"], ["passkey", "random"], ["common-words", "dense"]]);
  expect(grids[0]).toMatchObject({ lengths: [256, 512], depths: [0, 0.5], cells: [[{ mean: 0.25, n: 1, standardError: null }, null], [null, { mean: 0.5, n: 2, standardError: 0.5 }]] });
  expect(grids[2]?.depths).toEqual([null]);
  // Five answers of 0.6: sd sqrt(0.3), over sqrt(5).
  expect(cellOf([1, 1, 1, 0, 0]).standardError).toBeCloseTo(Math.sqrt(0.3 / 5), 12);
});

/** Elements of well-formed XML, as [name, attributes, text]; throws where tags do not match. */
function elements(xml: string): { name: string; attributes: string; text: string }[] {
  const open: string[] = [], found: { name: string; attributes: string; text: string }[] = [];
  for (const [, close, name = "", attributes = "", empty, text = ""] of xml.matchAll(/<(\/?)([a-zA-Z]+)((?:\s+[\w:.-]+="[^"<]*")*)\s*(\/?)>([^<]*)/g)) {
    if (close === "/") expect(open.pop()).toBe(name);
    else {
      found.push({ name, attributes, text });
      if (empty !== "/") open.push(name);
    }
  }
  expect(open).toEqual([]);
  expect(xml.replaceAll(/<\/?[a-zA-Z]+(?:\s+[\w:.-]+="[^"<]*")*\s*\/?>/g, "")).not.toContain("<");
  expect(xml).not.toMatch(/&(?!amp;|lt;|gt;|quot;)/);
  return found;
}

describe("the figure", () => {
  const grid: Grid = {
    task: "passkey", policy: 'a<b & "c":x=1', lengths: [256, 1024], depths: [0, 0.335, 1],
    cells: [[{ mean: 0, n: 4, standardError: 0 }, { mean: 0.13, n: 4, standardError: 0.125 }], [{ mean: 0.57, n: 3, standardError: 0.21 }, null], [{ mean: 0.86, n: 4, standardError: 0.05 }, { mean: 1, n: 4, standardError: 0 }]],
    all: { mean: 0.5, n: 19, standardError: 0.1 },
  };
  const drawn = elements(gridSvg(grid, "demo (demo)"));
  const texts = drawn.filter(({ name }) => name === "text").map(({ text }) => text);

  test("is well-formed and holds every number, label and count", () => {
    for (const text of ["0.00", "0.13", "0.57", "not run", "0.86", "1.00", "0 %", "33.5 %", "100 %", "256", "1,024"]) expect(texts).toContain(text);
    expect(texts.some((text) => text.includes("n = 3 to 4 prompts a cell; standard error at most 0.21"))).toBe(true);
    expect(texts).toContain("passkey, a&lt;b &amp; &quot;c&quot;:x=1");
    expect(drawn.filter(({ name }) => name === "title").map(({ text }) => text)).toContain("mean 0.570, n = 3, standard error 0.210");
  });

  test("numbers stand out from their cells at least 4.5 to 1", () => {
    const luminance = (hex: string): number => {
      const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => { const v = Number.parseInt(hex.slice(at, at + 2), 16) / 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    for (let i = 0; i <= 20; i++) {
      const one: Grid = { ...grid, lengths: [1], depths: [null], cells: [[{ mean: i / 20, n: 1, standardError: null }]] };
      const svg = gridSvg(one, "m");
      const [, ground = "", ink = ""] = /<rect [^>]*fill="(#\w{6})"\/><text [^>]*font-size="13" fill="(#\w{6})"/.exec(svg) ?? [];
      const [low, high] = [luminance(ground), luminance(ink)].toSorted((a, b) => a - b) as [number, number];
      expect((high + 0.05) / (low + 0.05)).toBeGreaterThanOrEqual(4.5);
    }
  });
});

test("counts in words", () => {
  expect(describeCounts([{ mean: 1, n: 1, standardError: null }])).toBe("n = 1 prompt a cell; no standard error with one prompt");
});
