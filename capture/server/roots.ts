import { realpath } from "node:fs/promises";
import { extname, join, sep } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8", ".json": "application/json; charset=utf-8", ".map": "application/json; charset=utf-8",
  ".ndjson": "application/x-ndjson; charset=utf-8", ".jsonl": "application/x-ndjson; charset=utf-8",
  ".wasm": "application/wasm", ".arrow": "application/vnd.apache.arrow.file", ".svg": "image/svg+xml", ".png": "image/png",
  ".ico": "image/x-icon", ".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8",
};

export function contentType(path: string): string {
  return TYPES[extname(path).toLowerCase()] ?? "application/octet-stream";
}

/** Segments of a URL path, decoded; null where one could mean anything but a plain name below the root. */
export function plainSegments(pathname: string): string[] | null {
  const segments: string[] = [];
  const parts = pathname.split("/").slice(1);
  for (const [index, part] of parts.entries()) {
    let name: string;
    try {
      name = decodeURIComponent(part);
    } catch {
      return null;
    }
    // Hidden names are never part of an app or a capture; "\0", "/" and "\" could leave the folder.
    if (name.startsWith(".") || /[\0/\\]/.test(name) || (name === "" && index < parts.length - 1)) return null;
    segments.push(name);
  }
  return segments;
}

/** Real path of root/segments, or null where there is none or a link leads out of the root. */
export async function resolveInside(root: string, segments: readonly string[]): Promise<string | null> {
  try {
    const real = await realpath(join(root, ...segments));
    const realRoot = await realpath(root);
    return real.startsWith(realRoot.endsWith(sep) ? realRoot : realRoot + sep) ? real : null;
  } catch {
    return null;
  }
}
