import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { KeyFateValues } from "../../../native/engine.ts";
import { position } from "../../marks/colour.ts";
import { MISSED_FROM } from "../../marks/masked.ts";
import { useSize } from "../../lib/use-size.ts";
import { fateText } from "../../policies/token-look.ts";
import { useHoverStore } from "../../state/hover.ts";
import { useView } from "../../state/store.ts";
import type { TokenTexts } from "../../tiles/token-texts.ts";
import { BLOCK_TOKENS, ProseLayout } from "./prose-layout.ts";
import { TokenBlock, type ProseMarks } from "./token-block.tsx";

const LINE_PX = 20;
const CHARACTER_PX = 6.6;
/** Characters of an average token with its space. */
const TOKEN_CHARACTERS = 4.5;
/** Blocks on the page at once: 18 x 128 tokens stay below 3,000 elements whatever the text's length. */
const MOST_BLOCKS = 18;
const GUTTER_PX = 64;

/** The whole sequence as text; only what is in sight is on the page. */
export function TokenProse({ total, lastRow, texts, version, keys, marks }: {
  total: number;
  /** Query a key is paired with where the crosshair is on none: the last one the policy acts on. */
  lastRow: number;
  texts: TokenTexts; version: number; keys: KeyFateValues | null; marks: ProseMarks;
}) {
  const hover = useHoverStore();
  const colour = useView((view) => view.colour);
  const scroll = useRef<HTMLDivElement>(null);
  const size = useSize(scroll);
  const layout = useMemo(() => new ProseLayout(total), [total]);
  const [top, setTop] = useState(0);
  const [, setPlaced] = useState(0);
  const place = useCallback((mass: number) => (mass > 0 ? position(mass, colour) : 0), [colour]);

  const width = size?.width ?? 0;
  if (width > 0) {
    const perLine = Math.max(20, (width - GUTTER_PX) / CHARACTER_PX);
    layout.resize(width, Math.ceil((BLOCK_TOKENS * TOKEN_CHARACTERS) / perLine) * LINE_PX);
  }
  const onHeight = useCallback((block: number, height: number) => {
    const before = layout.top(block), element = scroll.current;
    if (!layout.measure(block, height)) return;
    // What lies above the view may change its height; what is being read must not move.
    if (element !== null && before < element.scrollTop && layout.top(block) !== before) element.scrollTop += layout.top(block) - before;
    setPlaced((n) => n + 1);
  }, [layout]);

  // The crosshair's key and query, marked without drawing the text again.
  useEffect(() => {
    const show = (): void => {
      const { pair, pinned } = hover.get();
      const at = pinned ?? pair;
      for (const old of scroll.current?.querySelectorAll(".at-key, .at-query") ?? []) old.classList.remove("at-key", "at-query");
      if (at === null) return;
      scroll.current?.querySelector(`[data-token="${at.query}"]`)?.classList.add("at-query");
      scroll.current?.querySelector(`[data-token="${at.key}"]`)?.classList.add("at-key");
    };
    show();
    return hover.subscribe(show);
  });

  // A pair that is pinned elsewhere is brought into sight.
  const own = useRef(false);
  useEffect(() => {
    let last = hover.get().pinned;
    return hover.subscribe(() => {
      const { pinned } = hover.get();
      if (pinned === last) return;
      last = pinned;
      if (pinned === null || own.current) { own.current = false; return; }
      const element = scroll.current;
      if (element === null) return;
      const at = layout.top(Math.floor(pinned.key / BLOCK_TOKENS));
      if (at < element.scrollTop || at > element.scrollTop + element.clientHeight) element.scrollTop = Math.max(0, at - 2 * LINE_PX);
    });
  }, [hover, layout]);

  /** The pair of a token as key: with the row the crosshair is on, or the last that sees it. */
  const pairOf = (key: number) => {
    const row = hover.get().pinned?.query ?? hover.get().pair?.query ?? lastRow;
    return { key, query: Math.max(key, row) };
  };

  const { first, end } = layout.visible(top - 4 * LINE_PX, top + (size?.height ?? 0) + 4 * LINE_PX, MOST_BLOCKS);
  return (
    <div
      className="token-prose" ref={scroll} data-testid="token-prose" tabIndex={0} role="document" aria-label="Token text"
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      onPointerMove={(event) => {
        const key = tokenUnder(event.target);
        if (key === null) return;
        if (hover.get().pair?.key === key) return;
        hover.set({ pair: pairOf(key) });
        (event.target as HTMLElement).title = `token ${key}: ${fateText(keys, key)}`;
      }}
      onPointerLeave={() => hover.set({ pair: null })}
      onClick={(event) => {
        const key = tokenUnder(event.target);
        if (key === null) return;
        own.current = true;
        const { pinned } = hover.get();
        hover.set({ pinned: pinned?.key === key ? null : pairOf(key) });
      }}
    >
      <div className="token-text-height" style={{ height: layout.height }}>
        {Array.from({ length: end - first }, (_, i) => first + i).map((block) => (
          <TokenBlock
            key={block} block={block} top={layout.top(block)} total={total} texts={texts} version={version} keys={keys}
            place={place} missedFrom={MISSED_FROM} marks={marks} onHeight={onHeight}
          />
        ))}
      </div>
    </div>
  );
}

function tokenUnder(target: EventTarget): number | null {
  const text = target instanceof Element ? target.closest("[data-token]")?.getAttribute("data-token") : undefined;
  return text === null || text === undefined ? null : Number(text);
}
