import { URL_KEYS, type UrlKey } from "./persist.ts";
import { VIEW_SCHEMA } from "./schema.ts";
import { sameValue } from "./store.ts";
import { DEFAULT_VIEW, type ViewState } from "./view-state.ts";

/** Raise it when a key changes its meaning; links of other versions are refused with a banner, not guessed at. */
export const LINK_VERSION = 1;

/** Something a link asked for that cannot be shown. */
export interface LinkProblem {
  code: "E_LINK_VERSION" | "E_LINK_INVALID";
  message: string;
}

export interface LinkView {
  view: ViewState;
  problems: LinkProblem[];
}

interface Codec<T> {
  write(value: T): string;
  /** Text to a value of any shape; the schema decides whether it is one. */
  read(text: string): unknown;
}

const text: Codec<string> = { write: (value) => value, read: (value) => value };
const number: Codec<number> = { write: String, read: (value) => (value.trim() === "" ? NaN : Number(value)) };
const flag: Codec<boolean> = { write: (value) => (value ? "1" : "0"), read: (value) => ({ 0: false, 1: true })[value] };

/** A flat object as its values in a fixed order, comma-separated; "all" for null. */
function list<T extends object>(keys: readonly (keyof T & string)[]): Codec<T | null> {
  return {
    write: (value) => (value === null ? "all" : keys.map((key) => String(value[key])).join(",")),
    read: (value) => {
      if (value === "all") return null;
      const parts = value.split(",");
      if (parts.length !== keys.length) return undefined;
      return Object.fromEntries(keys.map((key, i) => [key, readScalar(parts[i] ?? "")]));
    },
  };
}

const readScalar = (value: string): string | number => (value !== "" && Number.isFinite(Number(value)) ? Number(value) : value);

/** A number, or the word for null. */
const optional = (word: string): Codec<number | null> => ({
  write: (value) => (value === null ? word : String(value)),
  read: (value) => (value === word ? null : number.read(value)),
});

/** Policies A to D between semicolons, empty ones at the end left out. */
const policyTexts: Codec<ViewState["policies"]> = {
  write: (value) => value.join(";").replace(/;+$/, ""),
  read: (value) => {
    const texts = value.split(";");
    while (texts.length < 4) texts.push("");
    return texts;
  },
};

/** The names of the flags that are set, "none" where none is. */
const flags = <T extends Record<string, boolean>>(names: readonly (keyof T & string)[]): Codec<T> => ({
  write: (value) => names.filter((key) => value[key]).join(",") || "none",
  read: (value) => {
    const set = value === "none" ? [] : value.split(",");
    return set.every((key) => names.includes(key)) ? Object.fromEntries(names.map((key) => [key, set.includes(key)])) : undefined;
  },
});

const CODECS: { readonly [K in UrlKey]: Codec<never> } = {
  page: text, layer: number, head: number, pooling: text, metric: text, sort: text, rowMarginal: text, gridView: text,
  kvTensor: text, channelStat: text, rail: flag,
  policies: policyTexts, activePolicy: number, policyPanel: flag, rowsMode: text, context: optional("auto"), chunk: number,
  panes: number, locks: flags<ViewState["locks"]>(["location", "zoom", "colour"]), layer2: number, head2: number,
  panePolicy: list<ViewState["panePolicy"]>(["first", "second"]), compare: text, blinkSide: text, drawer: text, drawerHeight: number,
  chartLoss: text, chartCost: text, generated: number, requestCost: text,
  device: text, timingGroup: text, timingScope: text, timingShape: text, timingDtype: text, timingBatching: text, timingLength: optional("auto"),
  timingSeries: text, timingView: text, roofline: flag,
  memory: list<ViewState["memory"]>(["model", "by", "scheme", "tokens", "generated", "kv"]), memoryFit: list<ViewState["memoryFit"]>(["device", "gib", "segments"]), memoryPinned: text,
  memoryWindow: list<NonNullable<ViewState["memoryWindow"]>>(["begin", "end"]), memoryCursor: optional("none"), memoryBlocks: flag,
  window2: list<NonNullable<ViewState["window"]>>(["key", "query", "span"]),
  colour2: list<ViewState["colour"]>(["scale", "low", "high", "map"]),
  window: list<NonNullable<ViewState["window"]>>(["key", "query", "span"]),
  colour: list<ViewState["colour"]>(["scale", "low", "high", "map"]),
  kvTokens: list<NonNullable<ViewState["kvTokens"]>>(["begin", "end"]),
} as { readonly [K in UrlKey]: Codec<never> };

/** The view as the part of the link after "#": version first, defaults omitted; "" for the default view. */
export function writeLink(view: ViewState): string {
  const parts = URL_KEYS.filter((key) => !sameValue(view[key], DEFAULT_VIEW[key]))
    .map((key) => `${key}=${escape(CODECS[key].write(view[key] as never))}`);
  return parts.length === 0 ? "" : [`v=${LINK_VERSION}`, ...parts].join("&");
}

/** As encodeURIComponent, but what a fragment may hold as it is stays readable. */
const escape = (value: string): string => encodeURIComponent(value).replaceAll(/%(2C|3A|3B|3D|2B|2F)/g, decodeURIComponent);

/** Reads a link. What is not understood keeps its default and is named in `problems`; keys outside the link come from `base`. */
export function readLink(hash: string, base: ViewState = DEFAULT_VIEW): LinkView {
  const entries = new Map(splitHash(hash));
  const view: ViewState = { ...base };
  for (const key of URL_KEYS) Object.assign(view, { [key]: DEFAULT_VIEW[key] });
  const problems: LinkProblem[] = [];
  const version = entries.get("v");
  if (entries.size === 0) return { view, problems };
  if (version !== String(LINK_VERSION)) {
    problems.push({
      code: "E_LINK_VERSION",
      message: version === undefined
        ? "The link has no version (v=1), so its view was not applied; copy it again from attnscope."
        : `The link has version ${quote(version)} and this viewer reads version ${LINK_VERSION}; open it with the attnscope that made it.`,
    });
    return { view, problems };
  }
  entries.delete("v");
  for (const [key, value] of entries) {
    if (!isUrlKey(key)) {
      problems.push({ code: "E_LINK_INVALID", message: `The link holds ${quote(key)}, which is no part of a view; it was ignored.` });
      continue;
    }
    const parsed = VIEW_SCHEMA.shape[key].safeParse(CODECS[key].read(value));
    if (parsed.success) Object.assign(view, { [key]: parsed.data });
    else problems.push({ code: "E_LINK_INVALID", message: `The link's ${key} is ${quote(value)}, which is not valid; the default is shown instead.` });
  }
  return { view, problems };
}

function splitHash(hash: string): [string, string][] {
  return hash.replace(/^#/, "").split("&").filter((part) => part !== "").map((part) => {
    const at = part.indexOf("=");
    return at < 0 ? [part, ""] : [part.slice(0, at), decode(part.slice(at + 1))];
  });
}

/** Broken escapes are kept as they are: the schema then refuses them by name. */
function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

const quote = (value: string): string => JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
const isUrlKey = (key: string): key is UrlKey => (URL_KEYS as readonly string[]).includes(key);
