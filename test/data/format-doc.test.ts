import { readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { describeTables, withTables } from "../../data/format/describe.ts";
import { manifestSchema } from "../../data/format/manifest.ts";
import { TABLES } from "../../data/format/tables.ts";
import { withMemoryEvents } from "../../data/format/memory-events.ts";
import { withTimings } from "../../data/format/timings.ts";

const path = "docs/format.md";

it("docs/format.md describes the tables as they are (UPDATE_DOCS=1 rewrites it)", () => {
  const document = readFileSync(path, "utf8");
  const wanted = withMemoryEvents(withTimings(withTables(document)));
  if (process.env.UPDATE_DOCS) writeFileSync(path, wanted);
  expect(process.env.UPDATE_DOCS ? wanted : document).toBe(wanted);
});

it("describes every column of every table", () => {
  const text = describeTables();
  for (const table of Object.values(TABLES)) {
    const section = text.split(`### ${table.name}\n`)[1]!.split("\n### ")[0]!;
    for (const column of table.columns) expect(section).toContain(`| ${column.name} |`);
  }
});

it("docs/format.md names every field of the manifest", () => {
  const document = readFileSync(path, "utf8").split("## manifest.json")[1]!.split("## Tables")[0]!;
  const leaves = (schema: unknown): string[] => Object.entries((schema as { shape?: Record<string, unknown> }).shape ?? {}).flatMap(([name, inner]) => [name, ...leaves(inner)]);
  const names = leaves(manifestSchema);
  expect(names.length).toBeGreaterThan(40);
  for (const name of names) expect(document, name).toMatch(new RegExp(`[\`.]${name}[\`.\\[]`));
});
