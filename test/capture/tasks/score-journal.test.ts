import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ScoreJournal, SCORES_FILE, type ScoreHeader, type ScoreRecord } from "../../../capture/tasks/score-journal.ts";
import { temporaryFolder } from "../checkpoint-files.ts";

const header: ScoreHeader = { format: "attnscope-tasks", version: 1, run: "a" };
const answer = (sample: number): ScoreRecord => ({ sample, produced: "\u20AC \"7305\"\n" }) as ScoreRecord;

test("what was written is read again; a line that was cut short is left behind", async () => {
  const folder = await temporaryFolder();
  const journal = ScoreJournal.create(folder, header);
  journal.append(answer(0));
  journal.append(answer(1));
  journal.close();
  const path = join(folder, SCORES_FILE);
  const whole = readFileSync(path, "utf8");
  // Killed in the middle of a line.
  appendFileSync(path, '{"sample": 2, "prod');
  const resumed = ScoreJournal.resume(folder, header);
  expect(resumed.records).toEqual([answer(0), answer(1)]);
  resumed.journal.append(answer(3));
  resumed.journal.close();
  expect(readFileSync(path, "utf8")).toBe(`${whole}${JSON.stringify(answer(3))}\n`);
});

test("a journal of another run is refused and left as it is; one that never got its first line begins anew", async () => {
  const folder = await temporaryFolder();
  ScoreJournal.create(folder, header).close();
  const before = readFileSync(join(folder, SCORES_FILE), "utf8");
  expect(() => ScoreJournal.resume(folder, { ...header, run: "b" })).toThrow(expect.objectContaining({ code: "E_RESUME_DIFFERENT" }) as Error);
  expect(readFileSync(join(folder, SCORES_FILE), "utf8")).toBe(before);
  writeFileSync(join(folder, SCORES_FILE), '{"format": "attn');
  const { journal, records } = ScoreJournal.resume(folder, header);
  journal.close();
  expect(records).toEqual([]);
  expect(readFileSync(join(folder, SCORES_FILE), "utf8")).toBe(before);
});
