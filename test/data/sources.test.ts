import { describe, expect, it } from "vitest";
import { blobFolder } from "../../data/reader/blob.ts";
import { openCapture } from "../../data/reader/capture.ts";
import { countingFolder } from "../../data/reader/counting.ts";
import { httpFolder } from "../../data/reader/http.ts";
import type { Fetch } from "../../data/reader/http.ts";
import { memorySource } from "../../data/reader/memory.ts";
import { SharedCache } from "../../data/reader/shared-cache.ts";
import type { Folder } from "../../data/reader/source.ts";
import { zipFolder } from "../../data/reader/zip.ts";
import { errorOf } from "./codes.ts";
import { syntheticCapture } from "./synthetic.ts";
import { zip } from "./zip-files.ts";

const made = syntheticCapture({ decode: 2 });

async function expectWhole(folder: Folder): Promise<void> {
  const [there, here] = await Promise.all([openCapture(folder), openCapture(made.folder)]);
  expect(await there.heads()).toEqual(await here.heads());
  expect(await there.rows(1, 2, 10, 98)).toEqual(await here.rows(1, 2, 10, 98));
  expect(await there.tile(0, 1, 2, 1, 0)).toEqual(await here.tile(0, 1, 2, 1, 0));
  expect(await there.vectors("q", 1, 3, 5, 98)).toEqual(await here.vectors("q", 1, 3, 5, 98));
}

/** A server of the capture; `answer` may replace a response. */
function server(answer: (path: string, range: [number, number], bytes: Uint8Array | undefined) => Response | undefined = () => undefined): { fetcher: Fetch; requests: string[] } {
  const requests: string[] = [];
  const fetcher: Fetch = async (url, init) => {
    init.signal?.throwIfAborted();
    const path = decodeURIComponent(new URL(url).pathname.replace("/capture/", ""));
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init.headers).get("range")!)!.map(Number) as [number, number, number];
    requests.push(`${path} ${first}-${last}`);
    const bytes = made.store.files.get(path);
    const other = answer(path, [first, last], bytes);
    if (other) return other;
    if (!bytes) return new Response("", { status: 404 });
    if (first >= bytes.length) return new Response("", { status: 416, headers: { "content-range": `bytes */${bytes.length}` } });
    const end = Math.min(last, bytes.length - 1);
    return new Response(bytes.slice(first, end + 1), { status: 206, headers: { "content-range": `bytes ${first}-${end}/${bytes.length}` } });
  };
  return { fetcher, requests };
}
const httpError = (answer: Parameters<typeof server>[0]) => errorOf(async () => (await openCapture(httpFolder("http://host/capture", server(answer).fetcher))).rows(0, 0, 0, 5));

describe("over HTTP", () => {
  it("reads the capture, one request to open a file", async () => {
    const { fetcher, requests } = server();
    await expectWhole(httpFolder("http://host/capture", fetcher));
    expect(requests.filter((request) => request.startsWith("heads.arrow"))).toHaveLength(1);
    expect(requests.filter((request) => request.startsWith("manifest.json"))).toHaveLength(1);
  });

  it.each([
    ["ignores ranges", (_: string, __: [number, number], bytes?: Uint8Array) => new Response(bytes?.slice()), "E_RANGES_UNSUPPORTED"],
    ["answers with a web page", () => new Response("<html>", { headers: { "content-type": "text/html; charset=utf-8" } }), "E_GOT_HTML"],
    ["hides Content-Range", (_: string, __: [number, number], bytes?: Uint8Array) => new Response(bytes?.slice(), { status: 206 }), "E_RANGES_UNSUPPORTED"],
    ["answers another range", () => new Response("abc", { status: 206, headers: { "content-range": "bytes 5-7/100" } }), "E_RANGES_UNSUPPORTED"],
    ["breaks off", (_: string, [first]: [number, number], bytes?: Uint8Array) => new Response("abc", { status: 206, headers: { "content-range": `bytes ${first}-${bytes!.length - 1}/${bytes!.length}` } }), "E_NETWORK"],
    ["fails", () => new Response("", { status: 503 }), "E_NETWORK"],
    ["has no manifest", (path: string) => (path === "manifest.json" ? new Response("", { status: 404 }) : undefined), "E_NOT_A_CAPTURE"],
    ["lost a file", (path: string) => (path.endsWith("rows.arrow") ? new Response("", { status: 404 }) : undefined), "E_FILE_MISSING"],
    ["has a shorter file", (path: string, _: [number, number], bytes?: Uint8Array) => (path.endsWith("rows.arrow") ? new Response(bytes!.slice(0, 100), { status: 206, headers: { "content-range": "bytes 0-99/100" } }) : undefined), "E_CAPTURE_TRUNCATED"],
  ])("a server that %s", async (_, answer, code) => {
    expect((await httpError(answer)).code).toBe(code);
  });

  it("a server that is not there", async () => {
    const fetcher: Fetch = () => Promise.reject(new TypeError("fetch failed"));
    expect((await errorOf(() => openCapture(httpFolder("http://host/capture", fetcher)))).code).toBe("E_NETWORK");
  });

  it("an abort is not an error of the capture", async () => {
    const capture = await openCapture(httpFolder("http://host/capture", server().fetcher));
    const stop = new AbortController();
    const reading = capture.rows(0, 0, 0, 5, stop.signal);
    stop.abort();
    await expect(reading).rejects.toMatchObject({ name: "AbortError" });
    expect((await capture.rows(0, 0, 0, 5))!.end).toBe(5);
  });
});

it("picked files are read by slices, below whatever folder they share", async () => {
  for (const prefix of ["", "my capture/", "a/b/"]) await expectWhole(blobFolder([...made.store.files].map(([path, bytes]) => [prefix + path, new Blob([bytes.slice()])] as const), "picked"));
});

describe("zipped", () => {
  it.each([
    ["stored", {}], ["deflated", { deflate: true }], ["zip64", { zip64: true }], ["deflated zip64", { deflate: true, zip64: true }],
    ["in a folder, with a comment", { prefix: "capture/", comment: "made for a test" }],
  ])("%s", async (_, options) => {
    await expectWhole(await zipFolder(memorySource("capture.zip", zip(made.store.files, options))));
  });

  it("stored entries are read by range", async () => {
    const counted = countingFolder({ label: "", exists: () => Promise.resolve(true), open: () => Promise.resolve(memorySource("capture.zip", zip(made.store.files))) });
    const folder = await zipFolder(await counted.folder.open(""));
    const before = counted.count.bytes;
    await (await openCapture(folder, { limits: { tailBytes: 1024 } })).tile(0, 1, 1, 1, 0);
    expect(counted.count.bytes - before).toBeLessThan(40_000);
  });

  it("damaged or not a zip", async () => {
    const whole = zip(made.store.files);
    expect((await errorOf(() => zipFolder(memorySource("a.zip", whole.subarray(0, 5000))))).code).toBe("E_NOT_A_ZIP");
    const garbled = whole.slice();
    garbled.fill(0x11, garbled.length - 500, garbled.length - 100);
    expect((await errorOf(() => zipFolder(memorySource("a.zip", garbled)))).code).toBe("E_ZIP_CORRUPT");
    const deflated = zip(made.store.files, { deflate: true });
    deflated.fill(0x77, 60, 200);
    const folder = await zipFolder(memorySource("a.zip", deflated));
    expect((await errorOf(async () => { for (const path of made.store.files.keys()) await folder.open(path); })).code).toBe("E_ZIP_CORRUPT");
    const small = await zipFolder(memorySource("a.zip", zip(made.store.files, { deflate: true })), { inflatedBytes: 100 });
    expect((await errorOf(() => small.open("manifest.json"))).code).toBe("E_ZIP_TOO_LARGE");
  });
});

describe("the shared cache", () => {
  it("shares a load, and aborts it when nobody waits", async () => {
    const cache = new SharedCache<number>(10, () => 1);
    let loads = 0, aborted = false;
    const load = (signal: AbortSignal) => new Promise<number>((resolve, reject) => {
      loads++;
      signal.addEventListener("abort", () => { aborted = true; reject(signal.reason); });
      setTimeout(() => resolve(7), 20);
    });
    const [a, b, c] = [new AbortController(), new AbortController(), new AbortController()];
    const first = cache.get("k", load, a.signal), second = cache.get("k", load, b.signal);
    a.abort();
    await expect(first).rejects.toMatchObject({ name: "AbortError" });
    expect(await second).toBe(7);
    expect([loads, aborted]).toEqual([1, false]);
    const alone = cache.get("other", load, c.signal);
    c.abort();
    await expect(alone).rejects.toMatchObject({ name: "AbortError" });
    expect(aborted).toBe(true);
  });

  it("keeps to its budget and forgets failures", async () => {
    const cache = new SharedCache<number>(10, (value) => value);
    for (const value of [4, 5, 6, 11]) expect(await cache.get(String(value), () => Promise.resolve(value))).toBe(value);
    expect(cache.bytes).toBe(6);
    await expect(cache.get("x", () => Promise.reject(new Error("once")))).rejects.toThrow("once");
    expect(await cache.get("x", () => Promise.resolve(1))).toBe(1);
  });
});
