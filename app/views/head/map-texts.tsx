import { isFull } from "../../tiles/geometry.ts";
import { badgeText, type MapStatus } from "../../tiles/status.ts";
import type { Pooling } from "../../tiles/tile.ts";
import { useLive, type LiveMap } from "./live-map.ts";
import { indexText } from "./number-text.ts";

export const statusText = (status: MapStatus | null, pooling: Pooling): string => (status === null ? "reading" : badgeText(status, pooling));

/** What kind of number the picture is made of, and its scale. */
export function Badge({ live, pooling }: { live: LiveMap; pooling: Pooling }) {
  const { status, window, side } = useLive(live);
  return (
    <>
      <span className="head-badge" data-testid="badge" data-loading={status?.showing !== null}>{statusText(status, pooling)}</span>
      <span className="head-scale">{side === null ? "" : scaleText(window.span / side)}</span>
    </>
  );
}

/** First thing that went wrong among what is shown. */
export function MapProblem({ live, errors, error }: { live: LiveMap; errors(): readonly unknown[]; error: unknown }) {
  useLive(live);
  const shown = error ?? errors().find((found) => found !== undefined);
  if (shown === undefined || shown === null) return null;
  return <p className="head-error" role="alert">{shown instanceof Error ? shown.message : String(shown)}</p>;
}

/** Visible queries and keys. */
export function WindowText({ live, total, onFit }: { live: LiveMap; total: number; onFit(): void }) {
  const { window } = useLive(live);
  const { key, query, span } = window;
  const range = (start: number) => `${indexText(Math.floor(start))} – ${indexText(Math.min(total, Math.ceil(start + span)) - 1)}`;
  return (
    <dl className="head-window">
      <dt>queries</dt><dd>{range(query)}</dd>
      <dt>keys</dt><dd>{range(key)}</dd>
      <dt>of</dt><dd>{indexText(total)} tokens</dd>
      <dd><button type="button" onClick={onFit} disabled={isFull(window, total)}>fit <kbd>0</kbd></button></dd>
    </dl>
  );
}

const short = (value: number): string => (value >= 10 ? Math.round(value).toString() : value.toPrecision(2));

/** "1 px = 8.2 tokens" or "1 token = 12 px". */
export function scaleText(tokensPerPx: number): string {
  return tokensPerPx >= 1 ? `1 px = ${short(tokensPerPx)} tokens` : `1 token = ${short(1 / tokensPerPx)} px`;
}

