import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import type { HeadReplay, VectorBlock } from "../../native/engine.ts";
import { OPTIONS, readyHead, SHAPE } from "../host/random-head.ts";

test("a head that memory has no room for is an error with a code, is freed, and leaves the others as they were", async () => {
  const engine = await loadWasmEngine(await readFile(new URL("../../build/wasm/attnscope.wasm", import.meta.url)));
  const head = readyHead(engine), { metrics } = head.run("magicpig-paper", OPTIONS);
  // Keys of 2^19 tokens are 256 MiB as floats: seven heads fill the 2 GiB, whatever allocation comes to fail.
  const tokens = 1 << 19, shape = { ...SHAPE, headDim: 128, tokens, promptTokens: tokens };
  const block: VectorBlock = { dtype: "f32", data: new Float32Array(128), dim: 128, first: 0, count: 1 };
  const large: HeadReplay[] = [];
  const fill = () => {
    for (let i = 0; i < 12; i += 1) {
      large.push(engine.replay(shape));
      large.at(-1)!.keys(block);
    }
  };
  for (let round = 0; round < 2; round += 1) {
    expect(fill).toThrow(expect.objectContaining({ code: "E_WASM_MEMORY" }));
    expect(large.length).toBeGreaterThan(4); // as many as fit, the second time as well
    expect(large.at(-1)!.bytes).toBe(0);
    expect(() => large.at(-1)!.keys(block)).toThrow(expect.objectContaining({ code: "E_REPLAY_FREED" }));
    // What is there goes on or is refused; nothing traps.
    for (const policy of ["magicpig-paper", "dense"]) {
      try {
        head.run(policy, OPTIONS);
      } catch (error) {
        expect(error).toMatchObject({ code: "E_WASM_MEMORY" });
      }
    }
    for (const each of large.splice(0)) each.free();
  }
  expect(readyHead(engine).run("magicpig-paper", OPTIONS).metrics).toEqual(metrics);
});
