import wasm from "../../build/wasm/attnscope.wasm?url";
import type { Capture } from "../../data/reader/capture-types.ts";
import { originOf } from "../lib/open-capture.ts";
import type { OpenMessage } from "../workers/tile-worker.ts";
import { PolicyClient } from "./client.ts";

interface Entry { worker: Worker; client: PolicyClient; users: number; timer: ReturnType<typeof setTimeout> | undefined }

/** The worker and the heads it has ready outlive a short visit to another page. */
const LINGER_MS = 60_000;

/** Per capture, as long as something asks it. */
const entries = new WeakMap<Capture, Entry>();

/** The capture's policy worker, shared by everything on screen. Call `release` when done with it. */
export function acquirePolicies(capture: Capture): { client: PolicyClient; release(): void } {
  const entry = entries.get(capture) ?? start(capture);
  entry.users++;
  clearTimeout(entry.timer);
  let released = false;
  const release = () => {
    if (released) return;
    released = true;
    entry.users--;
    if (entry.users > 0) return;
    entry.timer = setTimeout(() => {
      entry.worker.terminate();
      entries.delete(capture);
    }, LINGER_MS);
  };
  return { client: entry.client, release };
}

function start(capture: Capture): Entry {
  const worker = new Worker(new URL("../workers/policy-worker.ts", import.meta.url), { type: "module" });
  const client = new PolicyClient(worker);
  worker.addEventListener("error", (event) => {
    client.fail(`The policy worker stopped (${event.message || "it could not be loaded"}); reload the page.`);
    // The next one who asks starts another.
    entries.delete(capture);
  });
  const message: OpenMessage = { type: "open", origin: originOf(capture), wasm: new URL(wasm, document.baseURI).href };
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
  worker.postMessage(message);
  const entry: Entry = { worker, client, users: 0, timer: undefined };
  entries.set(capture, entry);
  return entry;
}
