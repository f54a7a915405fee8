import { memo, useLayoutEffect, useRef } from "react";
import type { KeyFateValues } from "../../../native/engine.ts";
import type { Needle } from "../../../data/reader/capture-types.ts";
import { tokenLook, type TokenLook } from "../../policies/token-look.ts";
import type { TokenTexts } from "../../tiles/token-texts.ts";
import type { Phase } from "../../workers/protocol.ts";
import { BLOCK_TOKENS } from "./prose-layout.ts";

export interface ProseMarks { needles: readonly Needle[]; phases: readonly Phase[] }

interface Props {
  block: number; top: number; total: number;
  texts: TokenTexts;
  /** Changes when texts arrive. */
  version: number;
  keys: KeyFateValues | null;
  place: (mass: number) => number; missedFrom: number;
  marks: ProseMarks;
  onHeight: (block: number, height: number) => void;
}

/** A run of tokens, wrapped like prose, each as the policy treats it. */
export const TokenBlock = memo(function TokenBlock({ block, top, total, texts, keys, place, missedFrom, marks, onHeight }: Props) {
  const element = useRef<HTMLParagraphElement>(null);
  const begin = wordStart(texts, block, total), end = wordStart(texts, block + 1, total);
  // After every drawing: texts that arrive and a new width both change the height.
  useLayoutEffect(() => {
    if (element.current !== null) onHeight(block, element.current.offsetHeight);
  });
  const spans = [];
  for (let token = begin; token < end; token++) {
    const phase = marks.phases.find((run) => run.begin === token);
    if (phase !== undefined) spans.push(<small key={`p${token}`} className="phase-mark">{phase.name}</small>);
    const text = texts.at(token)?.text;
    const look = tokenLook(keys, token, place, missedFrom);
    const needle = marks.needles.some((item) => token >= item.token_begin && token < item.token_end);
    spans.push(<span key={token} data-token={token} className={className(look, needle, marks.phases.some((run) => token >= run.begin && token < run.end))}>{text === undefined ? "\u2026 " : shown(token === begin ? text.replace(/^ /, "") : text)}</span>);
  }
  return <p ref={element} className="token-block" style={{ transform: `translateY(${top}px)` }} data-begin={begin}>{spans}</p>;
});

/** Tokens a block may begin later, so that no word is broken between two. */
const WORD_TOKENS = 16;

/** First token of a block: the first from its place on that begins a word, as far as texts are there. */
function wordStart(texts: TokenTexts, block: number, total: number): number {
  const place = Math.min(total, block * BLOCK_TOKENS);
  if (block === 0) return 0;
  for (let token = place; token < Math.min(total, place + WORD_TOKENS); token++) {
    if (/^\s/.test(texts.at(token)?.text ?? "")) return token;
  }
  return place;
}

/** A line break keeps breaking the line, and can be pointed at. */
const shown = (text: string): string => (text === "" ? "∅" : text.replaceAll("\n", "↵\n").replaceAll("\t", "⇥"));

function className({ kept, forced, missed }: TokenLook, needle: boolean, marked: boolean): string {
  return `${kept < 0 ? "unseen" : `k${kept}`}${forced ? " forced" : ""}${missed > 0 ? ` m${missed}` : ""}${needle ? " needle" : ""}${marked ? " marked" : ""}`;
}
