import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { mainParameter, pathOf, pathValues } from "../../../app/policies/sweep.ts";
import { readPolicy } from "../../../app/policies/text.ts";
import { loadWasmEngine } from "../../../native/bind/wasm/loader.ts";
import type { CoreEngine, PolicyCatalogue } from "../../../native/engine.ts";

const modulePath = new URL("../../../build/wasm/attnscope.wasm", import.meta.url);
let engine: CoreEngine, catalogue: PolicyCatalogue;
beforeAll(async () => {
  engine = await loadWasmEngine(await readFile(modulePath));
  catalogue = engine.describePolicies();
});
const main = (text: string): string => {
  const read = readPolicy(catalogue, text)!;
  return read.policy.parameters[mainParameter(read)]?.name ?? "none";
};

describe("path", () => {
  it.each([
    ["vertical-slash", "s"], ["a-shape", "n_local"], ["block-sparse", "top_k"], ["lagkv-official", "ratio"], ["lagkv-kvpress", "compression_ratio"], ["streaming-llm", "recent"],
    ["random", "tokens"], ["oracle-mass", "tokens"], ["topk-exact", "k"], ["topk-exact:budget=share", "rho"], ["oracle-sampling", "rho"], ["magicpig-authors", "L"], ["dense", "none"],
  ])("of %s follows %s", (text, name) => expect(main(text)).toBe(name));

  it("of every policy is made of texts the engine takes as they are, between its limits, and moves one parameter only", () => {
    for (const policy of catalogue.policies) {
      const read = readPolicy(catalogue, policy.id)!, index = mainParameter(read);
      const path = pathOf(read, 4096);
      expect(path.length).toBeGreaterThanOrEqual(index < 0 ? 1 : 6);
      expect(new Set(path).size).toBe(path.length);
      for (const text of path) {
        const found = readPolicy(catalogue, text)!;
        found.values.forEach((value, i) => { if (i !== index) expect(value).toBe(read.values[i]); });
        // Tables that can never agree often enough are the one combination the engine refuses.
        if (!text.startsWith("magicpig")) expect(engine.parsePolicy(text).text).toBe(text);
      }
    }
  });

  it("of token counts ends at the whole sequence; of blocks at all of its blocks", () => {
    const of = (id: string, name: string) => catalogue.policies.find((policy) => policy.id === id)!.parameters.find((parameter) => parameter.name === name)!;
    expect(pathValues(of("vertical-slash", "s"), 6400).at(-1)).toBe(6400);
    expect(pathValues(of("vertical-slash", "s"), 6400)[0]).toBe(100);
    expect(pathValues(of("block-sparse", "top_k"), 6400).at(-1)).toBe(100);
    expect(pathValues(of("lagkv-official", "ratio"), 6400)).toEqual(Array.from({ length: 10 }, (_, i) => Number((i / 9).toPrecision(4))));
  });

  it("does not change while its own parameter is moved", () => {
    expect(pathOf(readPolicy(catalogue, "vertical-slash:v=64,s=200")!, 1000)).toEqual(pathOf(readPolicy(catalogue, "vertical-slash:v=64,s=700")!, 1000));
    expect(pathOf(readPolicy(catalogue, "vertical-slash:v=64,s=200")!, 1000)).not.toEqual(pathOf(readPolicy(catalogue, "vertical-slash:v=65,s=200")!, 1000));
  });
});
