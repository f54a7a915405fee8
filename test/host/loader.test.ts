import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadEngine, loadEngineFrom } from "../../native/bind/node/loader.ts";
import { probe } from "../../native/bind/node/probe.ts";

let folder: string;
beforeAll(() => { folder = mkdtempSync(path.join(tmpdir(), "attnscope-loader-")); });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the built add-on says what it is", async () => {
  const engine = await loadEngine();
  expect(engine.kind).toBe("node");
  const info = engine.info();
  expect(info.version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(info.threads).toBeGreaterThanOrEqual(1);
  expect([info.simd, info.blas, info.cpu].every((text) => text.length > 0)).toBe(true);
});

test("an add-on that was not built is reported with the command that builds it", async () => {
  await expect(loadEngineFrom(path.join(folder, "absent.node"))).rejects.toMatchObject({
    code: "E_ENGINE_MISSING", message: expect.stringMatching(/absent\.node is not there; build it with `npm run build`/),
  });
});

test("a file that is no library is reported with the loader's reason", async () => {
  const file = path.join(folder, "broken.node");
  writeFileSync(file, "not a library");
  await expect(loadEngineFrom(file)).rejects.toMatchObject({ code: "E_ENGINE_MISSING", message: expect.stringMatching(/broken\.node cannot be loaded \(.+\)/) });
});

test("an add-on that kills its process kills only the probe", async () => {
  const file = path.join(folder, "deadly.cjs");
  writeFileSync(file, "process.kill(process.pid, 'SIGILL'); setTimeout(() => {}, 10_000);");
  await expect(probe(file)).rejects.toMatchObject({ code: "E_ENGINE_CRASHED", message: expect.stringContaining("SIGILL") });
});
