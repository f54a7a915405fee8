import { mkdir, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { browserCommand } from "../../capture/server/browser.ts";
import { parseRange } from "../../capture/server/range.ts";
import { plainSegments } from "../../capture/server/roots.ts";
import { startServer } from "../../capture/server/server.ts";
import type { ViewerServer } from "../../capture/server/server.ts";
import { temporaryFolder } from "./checkpoint-files.ts";

const body = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
let server: ViewerServer;

beforeAll(async () => {
  const root = await temporaryFolder();
  for (const folder of ["app/assets", "demo/prefill/000", "secret"]) await mkdir(join(root, folder), { recursive: true });
  await writeFile(join(root, "app/index.html"), "<!doctype html>");
  await writeFile(join(root, "app/assets/core-1a2b.wasm"), body);
  await writeFile(join(root, "demo/manifest.json"), "{}");
  await writeFile(join(root, "demo/.hidden"), "x");
  await writeFile(join(root, "demo/empty.arrow"), "");
  await writeFile(join(root, "demo/prefill/000/rows.arrow"), body);
  await writeFile(join(root, "secret/key.txt"), "secret");
  await symlink(join(root, "secret/key.txt"), join(root, "demo/link.txt"));
  await symlink(join(root, "demo/manifest.json"), join(root, "demo/inner.json"));
  server = await startServer({ app: join(root, "app"), captures: [{ label: "demo", folder: join(root, "demo") }], port: 0 });
});
afterAll(() => server.close());

interface Answer { status: number; headers: IncomingHttpHeaders; bytes: Buffer }

/** node:http and not fetch, which tidies paths and forbids Host and Origin. */
function ask(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port: server.port, path, method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes: Buffer.concat(chunks) }));
    });
    call.on("error", reject);
    call.end();
  });
}

const rows = "/captures/0/prefill/000/rows.arrow";

describe("files", () => {
  test("the app, its assets and captures come with their types", async () => {
    expect(await ask("/?src=/captures/0/")).toMatchObject({ status: 200, headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-cache", "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp", "cross-origin-resource-policy": "same-origin" } });
    expect(await ask("/assets/core-1a2b.wasm")).toMatchObject({ status: 200, headers: { "content-type": "application/wasm", "cache-control": "public, max-age=31536000, immutable" } });
    const whole = await ask(rows);
    expect(whole).toMatchObject({ status: 200, headers: { "content-type": "application/vnd.apache.arrow.file", "accept-ranges": "bytes", "content-length": "1000" } });
    expect(whole.bytes.equals(body)).toBe(true);
    expect(await ask("/captures/0/inner.json")).toMatchObject({ status: 200 });
  });

  test("captures are listed", async () => {
    expect(JSON.parse((await ask("/captures.json")).bytes.toString())).toEqual([{ index: 0, label: "demo", url: "/captures/0/" }]);
  });

  test.each(["/absent", "/captures/1/manifest.json", "/captures/0/absent", "/captures/0/", "/captures/0", "/captures/", "/captures/0/prefill", "/captures/0/prefill/000/", "/captures/0/link.txt", "/captures/00x/manifest.json"])("%s is not there", async (path) => {
    expect((await ask(path)).status).toBe(404);
  });

  test.each([
    "/../secret/key.txt", "/captures/0/../secret/key.txt", "/captures/0/..%2fsecret%2fkey.txt", "/captures/0/%2e%2e/secret/key.txt", "/captures/0/..\\secret\\key.txt",
    "/captures/0/%5c..%5csecret", "/captures/0/%00", "/captures/0/.hidden", "//etc/passwd", "/%2fetc%2fpasswd", "/captures/0//manifest.json", "/%zz",
  ])("%s is refused", async (path) => {
    const { status, bytes } = await ask(path);
    expect(status).toBe(400);
    expect(bytes.toString()).not.toContain("secret\n");
  });

  test("HEAD sends headers alone; other methods are refused", async () => {
    const head = await ask(rows, {}, "HEAD");
    expect(head).toMatchObject({ status: 200, headers: { "content-length": "1000" } });
    expect(head.bytes).toHaveLength(0);
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) expect(await ask(rows, {}, method)).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
  });

  test("an unchanged file is not sent again", async () => {
    const { etag } = (await ask(rows)).headers;
    expect(await ask(rows, { "if-none-match": String(etag) })).toMatchObject({ status: 304 });
    expect(await ask(rows, { "if-none-match": '"other"' })).toMatchObject({ status: 200 });
    expect(await ask(rows, { range: "bytes=0-9", "if-range": String(etag) })).toMatchObject({ status: 206 });
    expect(await ask(rows, { range: "bytes=0-9", "if-range": '"other"' })).toMatchObject({ status: 200 });
  });
});

describe("byte ranges", () => {
  test.each<[string, number, number]>([["bytes=0-9", 0, 10], ["bytes=990-", 990, 1000], ["bytes=-4", 996, 1000], ["bytes=-5000", 0, 1000], ["bytes=500-9999", 500, 1000], ["bytes=999-999", 999, 1000]])("%s", async (range, begin, end) => {
    const answer = await ask(rows, { range });
    expect(answer).toMatchObject({ status: 206, headers: { "content-range": `bytes ${begin}-${end - 1}/1000`, "content-length": String(end - begin) } });
    expect(answer.bytes.equals(body.slice(begin, end))).toBe(true);
  });

  test("out of the file is 416 with the size", async () => {
    for (const range of ["bytes=1000-", "bytes=1000-1001", "bytes=-0"]) expect(await ask(rows, { range })).toMatchObject({ status: 416, headers: { "content-range": "bytes */1000" } });
    expect(await ask("/captures/0/empty.arrow", { range: "bytes=0-0" })).toMatchObject({ status: 416, headers: { "content-range": "bytes */0" } });
    expect(await ask("/captures/0/empty.arrow")).toMatchObject({ status: 200, headers: { "content-length": "0" } });
  });

  test("malformed and multiple ranges are ignored", () => {
    for (const header of [undefined, "bytes=", "bytes=-", "bytes=5-2", "items=0-1", "bytes=0-1,4-5", "bytes=a-b"]) expect(parseRange(header, 10)).toBe("whole");
  });
});

describe("requests of other sites", () => {
  test.each<[string, Record<string, string>]>([
    ["another host (DNS rebinding)", { host: "evil.example" }],
    ["another port", { host: "127.0.0.1:1" }],
    ["a host that only begins like ours", { host: "localhost.evil.example" }],
    ["another origin", { origin: "https://evil.example" }],
    ["an opaque origin", { origin: "null" }],
    ["an embedding page", { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }],
  ])("%s", async (_, headers) => {
    expect((await ask("/captures/0/manifest.json", headers)).status).toBe(403);
  });

  test("our own pages and links to them pass", async () => {
    for (const name of ["localhost", "127.0.0.1"]) {
      expect((await ask("/captures/0/manifest.json", { host: `${name}:${server.port}`, origin: `http://${name}:${server.port}` })).status).toBe(200);
    }
    expect((await ask("/", { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" })).status).toBe(200);
  });
});

test("a port that is taken is reported", async () => {
  await expect(startServer({ app: ".", captures: [], port: server.port })).rejects.toMatchObject({ code: "EADDRINUSE" });
});

test("paths are split into plain names", () => {
  expect(plainSegments("/a/b%20c/")).toEqual(["a", "b c", ""]);
  expect(plainSegments("/a/../b")).toBeNull();
});

test("a browser is opened only where there is a desktop", () => {
  expect(browserCommand("http://x/", "linux", {})).toBeNull();
  expect(browserCommand("http://x/", "linux", { DISPLAY: ":0" })).toEqual(["xdg-open", ["http://x/"]]);
  expect(browserCommand("http://x/?a&b", "win32", {})).toEqual(["cmd", ["/c", "start", "", "http://x/?a^&b"]]);
});
