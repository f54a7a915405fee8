import { AttnscopeError, isAbort } from "../errors.ts";
import { gotHtml, missingFile } from "./broken.ts";
import type { ByteSource, Folder } from "./source.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** A capture served over HTTP. `base` is the URL of its folder. Every request is a range request. */
export function httpFolder(base: string, fetcher: Fetch = (url, init) => fetch(url, init)): Folder {
  const root = base.endsWith("/") ? base : `${base}/`;
  const source = (path: string): HttpSource => new HttpSource(path, root + path.split("/").map(encodeURIComponent).join("/"), root, fetcher);
  return {
    label: root,
    open: (path) => Promise.resolve(source(path)),
    exists: async (path) => {
      try {
        await source(path).size();
        return true;
      } catch (error) {
        if (error instanceof AttnscopeError && error.code === "E_FILE_MISSING") return false;
        throw error;
      }
    },
  };
}

export class HttpSource implements ByteSource {
  /** Known from the first answer's Content-Range, so that asking for the size rarely costs a request. */
  private total: number | undefined;

  constructor(readonly name: string, private readonly url: string, private readonly label: string, private readonly fetcher: Fetch) {}

  async size(signal?: AbortSignal): Promise<number> {
    if (this.total === undefined) await this.read(0, 1, signal);
    return this.total!;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    if (length <= 0 || (this.total !== undefined && offset >= this.total)) return new Uint8Array(0);
    const response = await this.request(offset, length, signal);
    if (response.status === 416) {
      this.total = totalOf(response);
      if (this.total === undefined) throw this.unsupported("answers 416 without saying the file's size");
      await response.body?.cancel();
      return new Uint8Array(0);
    }
    await this.check(response);
    const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
    if (!range) throw this.unsupported("hides or garbles the Content-Range header (across origins it must be listed in Access-Control-Expose-Headers)");
    const [first, last, total] = range.slice(1).map(Number) as [number, number, number];
    if (first !== offset || last !== Math.min(offset + length, total) - 1) throw this.unsupported(`answered bytes ${first}-${last} for ${offset}-${offset + length - 1}`);
    this.total = total;
    const bytes = new Uint8Array(await this.body(response, signal));
    if (bytes.length !== last - first + 1) throw this.failed(`the answer stopped after ${bytes.length} of ${last - first + 1} bytes`);
    return bytes;
  }

  private async request(offset: number, length: number, signal?: AbortSignal): Promise<Response> {
    try {
      return await this.fetcher(this.url, { headers: { range: `bytes=${offset}-${offset + length - 1}` }, ...(signal ? { signal } : {}) });
    } catch (error) {
      if (isAbort(error) || signal?.aborted) throw error;
      throw this.failed("the server did not answer", error);
    }
  }

  private async body(response: Response, signal?: AbortSignal): Promise<ArrayBuffer> {
    try {
      return await response.arrayBuffer();
    } catch (error) {
      if (isAbort(error) || signal?.aborted) throw error;
      throw this.failed("the connection broke", error);
    }
  }

  /** Anything but 206 is refused before its body, which may be gigabytes, is read. */
  private async check(response: Response): Promise<void> {
    if (response.status === 206) return;
    const empty = response.status === 200 && response.headers.get("content-length") === "0";
    const html = (response.headers.get("content-type") ?? "").includes("html");
    await response.body?.cancel();
    if (response.status === 404 || response.status === 410) throw missingFile(this.label, this.name);
    if (response.status === 200 && html) throw gotHtml(this.name, this.label);
    if (empty) throw new AttnscopeError("E_CAPTURE_EMPTY", `${this.name} in ${this.label} is empty (0 bytes): copy the capture again.`);
    if (response.status === 200) throw this.unsupported("sends whole files where a range was asked for");
    throw this.failed(`the server answered ${response.status} ${response.statusText}`.trim());
  }

  private unsupported(what: string): AttnscopeError {
    return new AttnscopeError("E_RANGES_UNSUPPORTED", `The server of ${this.label} ${what} (${this.name}): serve the capture with "attnscope view" or another server with HTTP range requests.`);
  }

  private failed(what: string, cause?: unknown): AttnscopeError {
    return new AttnscopeError("E_NETWORK", `Reading ${this.name} from ${this.label} failed, ${what}: check the address and that the server runs, then try again.`, { cause });
  }
}

function totalOf(response: Response): number | undefined {
  const match = /^bytes \*\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  return match ? Number(match[1]) : undefined;
}
