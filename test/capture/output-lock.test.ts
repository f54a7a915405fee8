import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { outputState } from "../../capture/run/output-folder.ts";
import { LOCK_FILE, lockOutput } from "../../capture/run/output-lock.ts";
import { temporaryFolder } from "./checkpoint-files.ts";

test("one run at a time; the folder it made goes again when nothing came of it", async () => {
  const base = await temporaryFolder();
  const folder = join(base, "a", "b");
  const unlock = lockOutput(folder);
  expect(outputState(folder)).toBe("free");
  expect(() => lockOutput(folder)).toThrow(expect.objectContaining({ code: "E_OUT_BUSY", message: expect.stringContaining(`process ${process.pid}`) as string }) as Error);
  unlock();
  expect(await readdir(base)).toEqual([]);
});

test("a folder that was there, or holds something, stays", async () => {
  const there = await temporaryFolder();
  lockOutput(there)();
  expect(await readdir(there)).toEqual([]);
  const folder = join(there, "made");
  const unlock = lockOutput(folder);
  await writeFile(join(folder, "manifest.json"), "{}");
  unlock();
  expect(await readdir(folder)).toEqual(["manifest.json"]);
});

test("marks of ended processes and cut ones count for nothing, one of another machine does", async () => {
  const ended = spawnSync(process.execPath, ["-e", ""]);
  const folder = join(await temporaryFolder(), "out");
  await mkdir(folder);
  for (const content of [JSON.stringify({ pid: ended.pid, host: hostname() }), "", "{"]) {
    await writeFile(join(folder, LOCK_FILE), content);
    lockOutput(folder)();
    expect(existsSync(join(folder, LOCK_FILE))).toBe(false);
  }
  await writeFile(join(folder, LOCK_FILE), JSON.stringify({ pid: 1, host: "elsewhere" }));
  expect(() => lockOutput(folder)).toThrow("process 1 on elsewhere");
});
