import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { parseRange } from "./range.ts";
import { contentType, plainSegments, resolveInside } from "./roots.ts";

/** A folder served under /captures/<n>/. */
export interface ServedCapture { label: string; folder: string }

export interface ViewerServer {
  /** "http://127.0.0.1:41234" */
  origin: string;
  port: number;
  close(): Promise<void>;
}

/** Loopback only: captures may hold text that is nobody else's. */
const HOST = "127.0.0.1";
const NAMES = ["127.0.0.1", "localhost"];

/** COOP and COEP give the page shared memory and exact timers; CORP keeps other sites from embedding what is served. */
const COMMON: OutgoingHttpHeaders = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
};

/** Serves the built viewer at / and captures by byte ranges under /captures/<n>/, listed at /captures.json. */
export async function startServer(options: { app: string; captures: readonly ServedCapture[]; port: number }): Promise<ViewerServer> {
  let port = 0;
  const server = createServer((request, response) => {
    answer(request, response, { ...options, port }).catch(() => {
      // The client went away or the disk failed in the middle of a body: the connection cannot be used again.
      if (response.headersSent) response.destroy();
      else refuse(response, 500, "reading failed");
    });
  });
  await listen(server, options.port);
  port = (server.address() as AddressInfo).port;
  return { origin: `http://${HOST}:${port}`, port, close: () => closeServer(server) };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, HOST, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

interface Context { app: string; captures: readonly ServedCapture[]; port: number }

/** A page of another site must not read captures: its requests carry its Origin, or reach us under another Host (DNS rebinding). */
function isForeign(request: IncomingMessage, port: number): boolean {
  const { host, origin } = request.headers;
  if (host === undefined || !NAMES.some((name) => host === `${name}:${port}` || (port === 80 && host === name))) return true;
  if (origin !== undefined && !NAMES.some((name) => origin === `http://${name}:${port}` || (port === 80 && origin === `http://${name}`))) return true;
  const site = request.headers["sec-fetch-site"];
  return site === "cross-site" && request.headers["sec-fetch-mode"] !== "navigate";
}

async function answer(request: IncomingMessage, response: ServerResponse, context: Context): Promise<void> {
  if (isForeign(request, context.port)) return refuse(response, 403, "this server answers its own pages only");
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD");
    return refuse(response, 405, "only GET and HEAD are served");
  }
  // The path is taken as sent: URL parsing would resolve "..", and what resolves to elsewhere is refused instead.
  const pathname = (request.url ?? "/").split(/[?#]/, 1)[0] ?? "/";
  const segments = plainSegments(pathname);
  if (segments === null) return refuse(response, 400, "this path is not served");
  if (pathname === "/captures.json") return sendJson(request, response, context.captures.map(({ label }, index) => ({ index, label, url: `/captures/${index}/` })));
  const [first, number, ...rest] = segments;
  const capture = first === "captures" && number !== undefined && /^\d{1,4}$/.test(number) ? context.captures[Number(number)] : undefined;
  if (first === "captures" && capture === undefined) return refuse(response, 404, "no such capture");
  const inside = capture === undefined ? segments : rest;
  const path = await resolveInside(capture?.folder ?? context.app, inside.at(-1) === "" && capture === undefined ? [...inside.slice(0, -1), "index.html"] : inside);
  if (path === null) return refuse(response, 404, "no such file");
  const file = await open(path, "r").catch(() => null);
  if (file === null) return refuse(response, 404, "no such file");
  try {
    await sendFile(request, response, file, path, capture === undefined && first === "assets");
  } finally {
    await file.close();
  }
}

async function sendFile(request: IncomingMessage, response: ServerResponse, file: FileHandle, path: string, immutable: boolean): Promise<void> {
  const found = await file.stat({ bigint: true });
  if (!found.isFile()) return refuse(response, 404, "no such file");
  const size = Number(found.size);
  const etag = `"${found.size.toString(16)}-${found.mtimeNs.toString(16)}-${found.ino.toString(16)}"`;
  const headers: OutgoingHttpHeaders = {
    ...COMMON,
    "Content-Type": contentType(path),
    "Accept-Ranges": "bytes",
    "ETag": etag,
    "Last-Modified": found.mtime.toUTCString(),
    // Names under assets/ carry a hash of their content; everything else may change under its name.
    "Cache-Control": immutable ? "public, max-age=31536000, immutable" : "no-cache",
  };
  const known = request.headers["if-none-match"];
  if (known !== undefined && (known === "*" || known.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag))) {
    response.writeHead(304, headers).end();
    return;
  }
  const condition = request.headers["if-range"];
  const range = condition !== undefined && condition !== etag ? "whole" : parseRange(request.headers.range, size);
  if (range === "unsatisfiable") {
    const { "Content-Type": _, ...rest } = headers;
    response.writeHead(416, { ...rest, "Content-Range": `bytes */${size}`, "Content-Length": 0 }).end();
    return;
  }
  const { begin, end } = range === "whole" ? { begin: 0, end: size } : range;
  headers["Content-Length"] = end - begin;
  if (range !== "whole") headers["Content-Range"] = `bytes ${begin}-${end - 1}/${size}`;
  response.writeHead(range === "whole" ? 200 : 206, headers);
  if (request.method === "HEAD" || end === begin) {
    response.end();
    return;
  }
  await pipeline(file.createReadStream({ start: begin, end: end - 1, autoClose: false, highWaterMark: 1 << 18 }), response);
}

function sendJson(request: IncomingMessage, response: ServerResponse, value: unknown): void {
  const body = JSON.stringify(value);
  response.writeHead(200, { ...COMMON, "Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store", "Content-Length": Buffer.byteLength(body) });
  response.end(request.method === "HEAD" ? undefined : body);
}

function refuse(response: ServerResponse, status: number, reason: string): void {
  const body = `${reason}\n`;
  response.writeHead(status, { ...COMMON, "Content-Type": "text/plain; charset=utf-8", "Content-Length": Buffer.byteLength(body) });
  response.end(response.req.method === "HEAD" ? undefined : body);
}
