import { count } from "../lib/format.ts";

/** How a request is run, as far as its memory goes. Texts of links hold it; the engine's configuration is made of it. */
export interface Scheme {
  /** Tokens of one prefill call; 0: all in one. */
  chunk: number;
  rows: "all" | "last";
  /** Logits copied to fp32, as transformers did before 4.45. */
  upcast: boolean;
  /** MLP in pieces of so many tokens, or in so many pieces. */
  mini: "off" | "size" | "count";
  piece: number;
  pieces: number;
  offload: "none" | "layer" | "head";
  /** Offloaded keys and values come back to the device when prefill ends. */
  reload: boolean;
  /** Keys and values are written into memory taken once, instead of copied to grow. */
  inPlace: boolean;
}

export const STANDARD: Scheme = { chunk: 0, rows: "all", upcast: false, mini: "off", piece: 4096, pieces: 8, offload: "none", reload: true, inPlace: false };
/** Longest text of one: every part at its longest. */
export const SCHEME_CHARACTERS = 40;
/** Schemes that can stand beside the one that is looked at. */
export const PINNED_SCHEMES = 3;
export const MOST_TOKENS = 16_777_216;
/** Steps of a decode; each is a few hundred events a layer to replay. */
export const MOST_GENERATED = 1024;

/** "" is the standard one; otherwise parts between dots: "last.c8192", "last.m4096.layer". */
export function writeScheme(scheme: Scheme): string {
  return [
    scheme.rows === "last" ? "last" : "", scheme.upcast ? "fp32" : "", scheme.chunk > 0 ? `c${scheme.chunk}` : "",
    scheme.mini === "size" ? `m${scheme.piece}` : scheme.mini === "count" ? `n${scheme.pieces}` : "",
    scheme.offload === "none" ? "" : scheme.offload, scheme.offload !== "none" && !scheme.reload ? "stay" : "", scheme.inPlace ? "inplace" : "",
  ].filter((part) => part !== "").join(".");
}

/** Null where it is no scheme. */
export function readScheme(text: string): Scheme | null {
  const scheme = { ...STANDARD };
  for (const part of text === "" ? [] : text.split(".")) {
    const [, letter, digits] = /^([cmn])([1-9]\d{0,7})$/.exec(part) ?? [];
    if (letter !== undefined) {
      const value = Number(digits);
      if (value > MOST_TOKENS) return null;
      if (letter === "c") scheme.chunk = value;
      else if (letter === "m") Object.assign(scheme, { mini: "size", piece: value });
      else Object.assign(scheme, { mini: "count", pieces: value });
    } else if (part === "last") scheme.rows = "last";
    else if (part === "fp32") scheme.upcast = true;
    else if (part === "layer" || part === "head") scheme.offload = part;
    else if (part === "stay") scheme.reload = false;
    else if (part === "inplace") scheme.inPlace = true;
    else return null;
  }
  // One way to write each, and none that the engine refuses: an offloaded cache grows.
  if (scheme.offload === "none" && !scheme.reload) return null;
  return scheme.offload !== "none" && scheme.inPlace ? null : scheme;
}

/** "-" is none; the empty text is the standard scheme alone. */
export const pinnedSchemes = (text: string): string[] => (text === "-" ? [] : text.split(";"));
export const writePinned = (schemes: readonly string[]): string => (schemes.length === 0 ? "-" : schemes.join(";"));

export interface NamedScheme { text: string; name: string; short: string; doc: string }

/** Schemes that were published, as published, and the one that needs none of it. */
export const SCHEMES: readonly NamedScheme[] = [
  { text: "", name: "Standard", short: "standard", doc: "One call over the prompt, logits of every token" },
  { text: "last", name: "Last-token logits", short: "last-token", doc: "One call, logits of the last token alone" },
  { text: "c8192", name: "Chunked prefill", short: "chunked", doc: "Calls of 8,192 tokens, logits of every token" },
  { text: "last.c8192", name: "Chunked, last-token logits", short: "chunked + last", doc: "Calls of 8,192 tokens, logits of each call's last token" },
  { text: "last.m4096", name: "Mini-sequence", short: "mini-seq.", doc: "MLP in pieces of 4,096 tokens, logits of the last token" },
  { text: "layer", name: "KV offload", short: "offload", doc: "Each layer's keys and values wait on the host until prefill ends" },
  { text: "last.m4096.layer", name: "MOM", short: "MOM", doc: "Mini-sequence and offload together (arXiv 2504.12526)" },
  { text: "last.c10000.head.stay", name: "HeadInfer", short: "HeadInfer", doc: "A cache a kv head on the host, also in decode, calls of 10,000 tokens (arXiv 2502.12574)" },
];

/** Its published name, or what it does in words. */
export function schemeName(text: string): string {
  const named = SCHEMES.find((scheme) => scheme.text === text);
  if (named !== undefined) return named.name;
  const scheme = readScheme(text);
  return scheme === null ? text : describe(scheme).join(", ");
}

/** For legends and bars: one without a published name goes by its parts, as in a link. */
export function shortName(text: string): string {
  const parts = text.replaceAll(".", " ");
  return SCHEMES.find((scheme) => scheme.text === text)?.short ?? (parts.length > 18 ? `${parts.slice(0, 17)}…` : parts);
}

function describe({ chunk, rows, upcast, mini, piece, pieces, offload, reload, inPlace }: Scheme): string[] {
  return [
    chunk > 0 ? `chunks of ${count(chunk)}` : "",
    mini === "size" ? `MLP by ${count(piece)}` : mini === "count" ? `MLP in ${count(pieces)}` : "",
    offload === "none" ? "" : `KV on host ${offload === "layer" ? "by layer" : "by head"}${reload ? "" : ", stays"}`,
    rows === "last" ? "last-token logits" : "all logits", upcast ? "fp32 logits" : "", inPlace ? "cache in place" : "",
  ].filter((part) => part !== "");
}
