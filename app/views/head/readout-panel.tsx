import { useAsync } from "../../lib/use-async.ts";
import { useHover } from "../../state/hover.ts";
import { coarsestCell } from "../../tiles/level.ts";
import type { TileService } from "../../tiles/service.ts";
import type { Pooling } from "../../tiles/tile.ts";
import type { HeadMarginals, RowStatistic } from "../../workers/protocol.ts";
import { fateOfPair, rowText } from "./fate-text.ts";
import { useLive, type LiveMap } from "./live-map.ts";
import { indexText, valueText } from "./number-text.ts";
import type { PaneOverlay } from "./overlay.ts";
import { exactReading, readCell, readingText, type Pair } from "./readout.ts";
import { ROW_MARGINALS } from "./scene.ts";
import { tokenLabel } from "./token-label.ts";

/** A head that is read out, as far as one map shows it. */
export interface ReadHead { layer: number; head: number; live: LiveMap; overlay: PaneOverlay | null }

interface Props {
  service: TileService; edge: number; pooling: Pooling; rowMarginal: RowStatistic;
  /** The map that has the keys; the other one where there are two. */
  shown: ReadHead & { label: string }; other: (ReadHead & { label: string }) | null;
  marginals: HeadMarginals | null; pinned: Pair | null;
}

const number = (values: Float32Array | undefined, index: number | undefined): string =>
  (values === undefined || index === undefined ? "–" : valueText(values[index] ?? Number.NaN));

/** What is under the crosshair, always in the same place: nothing jumps, nothing covers the map. */
export function ReadoutPanel({ service, edge, pooling, rowMarginal, shown, other, marginals, pinned }: Props) {
  const hovered = useHover((h) => h.pair);
  // Also rendered again when tiles, masks or token texts arrive.
  useLive(shown.live);
  const pair = pinned ?? hovered;
  const token = (index: number) => {
    const known = service.tokens.at(index);
    return known !== null && <q>{tokenLabel(known.text, 22)}</q>;
  };
  const spec = ROW_MARGINALS[rowMarginal];
  const distance = pair === null || pair.key > pair.query ? undefined : pair.query - pair.key;
  // Of two maps, the strips and these values are of one.
  const of = other === null ? "" : ` ${shown.label}`;
  const about = { service, edge, pooling, pair };

  return (
    <dl className="head-readout" aria-live="off" data-pinned={pinned !== null}>
      <dt>query</dt><dd><b>{pair === null ? "–" : indexText(pair.query)}</b>{pair !== null && token(pair.query)}</dd>
      <dt>key</dt><dd><b>{pair === null ? "–" : indexText(pair.key)}</b>{pair !== null && token(pair.key)}</dd>
      <Value {...about} {...shown} label={other === null ? "value" : `value ${shown.label}`} />
      {other !== null && <Value {...about} {...other} label={`value ${other.label}`} second />}
      <dt>{spec.label}{of}</dt><dd>{number(marginals?.rows[rowMarginal], pair?.query)} {pair !== null && <small>{spec.unit}, query</small>}</dd>
      <dt>column mass{of}</dt><dd>{number(marginals?.column, pair?.key)} {pair !== null && <small>key, all queries</small>}</dd>
      <dt>diagonal mass{of}</dt><dd>{number(marginals?.diagonal, distance)} {distance !== undefined && <small>distance {indexText(distance)}</small>}</dd>
      <dd className="head-hint">{pinned === null ? "click pins the pair" : "pinned; Esc releases"}</dd>
    </dl>
  );
}

interface ValueProps extends ReadHead { service: TileService; edge: number; pooling: Pooling; pair: Pair | null; label: string; second?: boolean }

/** One head's value at the pair, its kind, and what the policy over the map does to it. */
function Value({ service, edge, pooling, pair, layer, head, live, overlay, label, second = false }: ValueProps) {
  const cell = useLive(live).status?.cell ?? 1;
  const ladder = service.ladder(layer, head);
  const wantsExact = pair !== null && cell === 1 && ladder.finest === 1 && pair.key <= pair.query;
  const exact = useAsync(
    wantsExact ? async (signal) => ({ pair, layer, head, value: await service.value(layer, head, pair.query, pair.key, signal) }) : null,
    [service, layer, head, wantsExact, pair?.query, pair?.key],
  );
  const cellReading = pair === null ? null : readCell(pair, { layer, head, cell }, edge, coarsestCell(ladder), pooling, (a) => service.get(a));
  const answer = exact.value;
  const same = answer !== null && answer.pair.query === pair?.query && answer.pair.key === pair.key && answer.layer === layer && answer.head === head;
  const reading = (same ? exactReading(answer.value) : null) ?? cellReading;
  const text = reading === null ? null : readingText(reading);
  const test = second ? "-second" : "";
  return (
    <>
      <dt>{label}</dt><dd><b data-testid={`value${test}`}>{text?.value ?? "–"}</b></dd>
      <dd className="head-kind" data-testid={`kind${test}`}>{text?.kind ?? "point at the map"}</dd>
      {overlay !== null && (
        <>
          <dt><i className="policy-chip" style={{ background: overlay.hue }} />policy {overlay.letter}</dt>
          <dd><span data-testid={`fate${test}`}>{pair === null ? "–" : fateOfPair(overlay, pair, { layer, head, cell }, edge)}</span></dd>
          <dt>row</dt><dd><span data-testid={`row${test}`}>{pair === null ? "–" : rowText(overlay, pair.query)}</span></dd>
        </>
      )}
    </>
  );
}
