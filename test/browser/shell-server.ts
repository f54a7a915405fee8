import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";

/** Files by path below the server's root: captures made in memory. */
export type ServedFiles = ReadonlyMap<string, Uint8Array>;

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm", ".svg": "image/svg+xml",
};

/** A static host with range requests and nothing else: the built viewer at /, captures from memory. */
export async function serveViewer(appFolder: string, files: ServedFiles, listed: readonly { label: string; url: string }[]): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://host");
    if (pathname === "/captures.json" && listed.length > 0) return send(request, response, Buffer.from(JSON.stringify(listed)), ".json");
    const name = decodeURIComponent(pathname).slice(1);
    const inMemory = files.get(name);
    if (inMemory !== undefined) return send(request, response, inMemory, path.extname(name));
    const onDisk = path.join(appFolder, name === "" ? "index.html" : name);
    if (!onDisk.startsWith(appFolder) || !existsSync(onDisk)) return void response.writeHead(404).end();
    return send(request, response, readFileSync(onDisk), path.extname(onDisk));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () => new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    }),
  };
}

function send(request: IncomingMessage, response: ServerResponse, bytes: Uint8Array, extension: string): void {
  response.setHeader("content-type", TYPES[extension] ?? "application/octet-stream");
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  if (range === null) return void response.end(bytes);
  const begin = Number(range[1]);
  const end = Math.min(bytes.length, Number(range[2]) + 1);
  if (begin >= bytes.length) return void response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
  response.writeHead(206, { "content-range": `bytes ${begin}-${end - 1}/${bytes.length}` }).end(bytes.subarray(begin, end));
}
