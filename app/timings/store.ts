import { AttnscopeError, isAbort } from "../../data/errors.ts";
import type { TimingRow } from "../../data/format/timings.ts";
import { readTimings } from "../../data/reader/timings.ts";
import { busy } from "../lib/idle.ts";

/** A table of timings and where it came from. */
export interface TimingTable { name: string; from: "shipped" | "file" | "address"; rows: readonly TimingRow[] }

export interface TimingTables {
  /** loading: some tables may still come. */
  state: "idle" | "loading" | "ready";
  tables: readonly TimingTable[];
  /** The last file or address that could not be read. */
  error: unknown;
}

/** Tables that come with the viewer, by file name. */
const SHIPPED = import.meta.glob<string>("../../data/timings/*.arrow", { query: "?url", import: "default" });

const NOTHING: TimingTables = { state: "idle", tables: [], error: null };

/** A table has some thousands of rows of 300 bytes; what is larger is something else. */
const LARGEST_BYTES = 64 * 1024 * 1024;

/** Every table of this window: the shipped ones once they are wanted, and those that a person opened. */
export class TimingStore {
  private current = NOTHING;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly shipped: Readonly<Record<string, () => Promise<string>>> = SHIPPED, private readonly address: string | null = timingsOfLink()) {}

  readonly get = (): TimingTables => this.current;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  /** Reads what comes with the viewer and what the link names; once, whoever asks. */
  want(): void {
    if (this.current.state !== "idle") return;
    this.set({ ...this.current, state: "loading" });
    const shipped = Object.entries(this.shipped).map(([path, url]) => this.add(async () => ({
      name: path.split("/").at(-1) ?? path, from: "shipped", rows: await fetchTable(path.split("/").at(-1) ?? path, new URL(await url(), document.baseURI).href),
    })));
    const { address } = this;
    const named = address === null ? [] : [this.add(async () => ({ name: fileName(address), from: "address", rows: await fetchTable(fileName(address), parseAddress(address)) }))];
    void busy.track(Promise.all([...shipped, ...named])).then(() => this.set({ ...this.current, state: "ready" }));
  }

  /** Files that were picked or dropped; one that is open already is read again. */
  async open(files: readonly File[]): Promise<void> {
    this.want();
    this.set({ ...this.current, error: null });
    await busy.track(Promise.all(files.map((file) => this.add(async () => {
      if (file.size > LARGEST_BYTES) throw tooLarge(file.name);
      return { name: file.name, from: "file", rows: readTimings(file.name, new Uint8Array(await file.arrayBuffer())) };
    }))));
  }

  clear(): void { this.set({ ...this.current, error: null }); }

  private async add(read: () => Promise<TimingTable>): Promise<void> {
    try {
      const table = await read();
      this.set({ ...this.current, tables: [...this.current.tables.filter(({ name, from }) => name !== table.name || from !== table.from), table] });
    } catch (error) {
      if (!isAbort(error)) this.set({ ...this.current, error });
    }
  }

  private set(next: TimingTables): void {
    this.current = next;
    for (const listener of this.listeners) listener();
  }
}

async function fetchTable(name: string, url: string): Promise<TimingRow[]> {
  const response = await fetch(url).catch(() => null);
  if (response === null || !response.ok) {
    throw new AttnscopeError("E_NETWORK", `Reading ${name} failed, ${response === null ? "the server did not answer" : `the server answered ${response.status}`}: check the address and that the server runs, then try again.`);
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length > LARGEST_BYTES) throw tooLarge(name);
  return readTimings(name, bytes);
}

const tooLarge = (name: string): AttnscopeError => new AttnscopeError("E_FILE_TOO_LARGE", `${name} is over ${LARGEST_BYTES / 1024 ** 2} MiB, which no table of timings is: choose the timings.arrow that attnscope time wrote.`);
const fileName = (address: string): string => address.replace(/[?#].*$/, "").split("/").at(-1) || address;

/** The link's ?timings=, beside ?src=. */
export function timingsOfLink(): string | null {
  const address = typeof location === "undefined" ? null : new URLSearchParams(location.search).get("timings");
  return address === "" ? null : address;
}

function parseAddress(text: string): string {
  try {
    const url = new URL(text, location.href);
    if (url.protocol === "http:" || url.protocol === "https:") return url.href;
  } catch {
    // Told below, together with addresses of other kinds.
  }
  throw new AttnscopeError("E_SRC_INVALID", `timings=${text} is not an http(s) address of a table of timings: correct the address, or drop the file here.`);
}
