import type { Manifest } from "../../data/format/manifest.ts";
import { fitView } from "./fit.ts";
import { SESSION_KEYS } from "./persist.ts";
import { VIEW_SCHEMA } from "./schema.ts";
import type { ViewStore } from "./store.ts";
import { readLink, writeLink, type LinkProblem } from "./url.ts";
import { DEFAULT_VIEW, type ViewState } from "./view-state.ts";

/** The link follows the view after this pause; browsers refuse more than about 100 changes in 30 seconds. */
export const LINK_DELAY_MS = 300;

const STORAGE_KEY = "attnscope.view.v1";

/** The first view: session values, then what the link holds. */
export function initialView(): { view: ViewState; problems: LinkProblem[] } {
  return readLink(location.hash, { ...DEFAULT_VIEW, ...readSession() });
}

/** Keeps link and session storage in step with the store; the reader's own edits of the link are followed too. */
export function bindPersistence(store: ViewStore, manifest: Manifest | null, onProblems: (problems: LinkProblem[]) => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let saved = "";
  const write = (): void => {
    timer = undefined;
    const link = writeLink(store.get());
    if (link !== location.hash.replace(/^#/, "")) history.replaceState(null, "", `${location.pathname}${location.search}${link === "" ? "" : `#${link}`}`);
    const session = JSON.stringify(Object.fromEntries(SESSION_KEYS.map((key) => [key, store.get()[key]])));
    if (session !== saved) writeSession((saved = session));
  };
  const unsubscribe = store.subscribe(() => {
    timer ??= setTimeout(write, LINK_DELAY_MS);
  });
  const follow = (): void => {
    const read = readLink(location.hash, store.get());
    const fitted = manifest === null ? { view: read.view, problems: [] } : fitView(read.view, manifest);
    store.set(fitted.view);
    onProblems([...read.problems, ...fitted.problems]);
  };
  addEventListener("hashchange", follow);
  return () => {
    unsubscribe();
    removeEventListener("hashchange", follow);
    if (timer === undefined) return;
    clearTimeout(timer);
    write();
  };
}

function readSession(): Partial<ViewState> {
  try {
    const parsed: unknown = JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? "{}");
    const result = VIEW_SCHEMA.pick({ theme: true }).partial().safeParse(parsed);
    return result.success ? dropUndefined(result.data) : {};
  } catch {
    // Storage is refused in some private windows: the theme then starts at its default.
    return {};
  }
}

function writeSession(value: string): void {
  try {
    sessionStorage.setItem(STORAGE_KEY, value);
  } catch {
    return; // As above: nothing but the remembered theme is lost.
  }
}

const dropUndefined = (value: object): Partial<ViewState> =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined));
