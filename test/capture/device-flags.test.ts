import { InvalidArgumentError } from "commander";
import { describe, expect, test } from "vitest";
import { byteCount, deviceChoice, deviceName } from "../../capture/lib/device-flags.ts";

describe("flags of a device", () => {
  test("nothing said is the processor", () => {
    expect(deviceChoice({ device: "cpu" }, "f32")).toEqual({ name: "cpu", weights: "auto", memoryBytes: 0 });
  });

  test("of a GPU all are taken", () => {
    expect(deviceChoice({ device: "cuda:1", weights: "streamed", deviceMemory: 5 }, "bf16")).toEqual({ name: "cuda:1", weights: "streamed", memoryBytes: 5 });
    expect(deviceChoice({ device: "cuda" }, "f16")).toEqual({ name: "cuda", weights: "auto", memoryBytes: 0 });
  });

  test("what is about a GPU is refused on the processor, and f32 on a GPU", () => {
    expect(() => deviceChoice({ device: "cpu", weights: "auto" }, "f16")).toThrow(expect.objectContaining({ code: "E_OPTION", message: expect.stringContaining("--weights") }));
    expect(() => deviceChoice({ device: "cpu", deviceMemory: 1 }, "f16")).toThrow(expect.objectContaining({ code: "E_OPTION", message: expect.stringContaining("--device-memory") }));
    expect(() => deviceChoice({ device: "cuda" }, "f32")).toThrow(expect.objectContaining({ code: "E_DEVICE_DTYPE", message: expect.stringContaining("--vectors bf16") }));
  });

  test("names and sizes", () => {
    for (const name of ["cpu", "cuda", "cuda:0", "cuda:12"]) expect(deviceName(name)).toBe(name);
    for (const name of ["", "gpu", "cuda:", "cuda:x", "cuda:1 ", "CUDA"]) expect(() => deviceName(name)).toThrow(InvalidArgumentError);
    expect([byteCount("4096"), byteCount("3K"), byteCount("2m"), byteCount("40G"), byteCount("1T")]).toEqual([4096, 3072, 2 ** 21, 40 * 2 ** 30, 2 ** 40]);
    for (const text of ["", "0", "0G", "-1", "1.5G", "G", "9000000000000G", "40 G", "40GB"]) expect(() => byteCount(text)).toThrow(InvalidArgumentError);
  });
});
