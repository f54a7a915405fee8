import { useAsync } from "../../lib/use-async.ts";
import { useHover } from "../../state/hover.ts";
import { useView } from "../../state/store.ts";
import { coarsestCell } from "../../tiles/level.ts";
import type { TileService } from "../../tiles/service.ts";
import type { HeadMarginals } from "../../workers/protocol.ts";
import { useLive, type LiveMap } from "./live-map.ts";
import { indexText, valueText } from "./number-text.ts";
import { exactReading, readCell, readingText, type Pair } from "./readout.ts";
import { ROW_MARGINALS } from "./scene.ts";
import { tokenLabel } from "./token-label.ts";

interface Props {
  service: TileService; layer: number; head: number; edge: number;
  live: LiveMap;
  marginals: HeadMarginals | null; pinned: Pair | null;
}

const number = (values: Float32Array | undefined, index: number | undefined): string =>
  (values === undefined || index === undefined ? "–" : valueText(values[index] ?? Number.NaN));

/** What is under the crosshair, always in the same place: nothing jumps, nothing covers the map. */
export function ReadoutPanel({ service, layer, head, edge, live, marginals, pinned }: Props) {
  const hovered = useHover((h) => h.pair);
  // Also rendered again when tiles or token texts arrive.
  const cell = useLive(live).status?.cell ?? 1;
  const pooling = useView((v) => v.pooling);
  const rowMarginal = useView((v) => v.rowMarginal);
  const pair = pinned ?? hovered;
  const ladder = service.ladder(layer, head);
  const wantsExact = pair !== null && cell === 1 && ladder.finest === 1 && pair.key <= pair.query;
  const exact = useAsync(
    wantsExact ? async (signal) => ({ pair, layer, head, value: await service.value(layer, head, pair.query, pair.key, signal) }) : null,
    [service, layer, head, wantsExact, pair?.query, pair?.key],
  );
  const shown = pair === null ? null : readCell(pair, { layer, head, cell }, edge, coarsestCell(ladder), pooling, (a) => service.get(a));
  const answer = exact.value;
  const same = answer !== null && answer.pair.query === pair?.query && answer.pair.key === pair.key && answer.layer === layer && answer.head === head;
  const reading = (same ? exactReading(answer.value) : null) ?? shown;
  const text = reading === null ? null : readingText(reading);
  const token = (index: number) => {
    const known = service.tokens.at(index);
    return known !== null && <q>{tokenLabel(known.text, 22)}</q>;
  };
  const spec = ROW_MARGINALS[rowMarginal];
  const distance = pair === null || pair.key > pair.query ? undefined : pair.query - pair.key;

  return (
    <dl className="head-readout" aria-live="off" data-pinned={pinned !== null}>
      <dt>query</dt><dd><b>{pair === null ? "–" : indexText(pair.query)}</b>{pair !== null && token(pair.query)}</dd>
      <dt>key</dt><dd><b>{pair === null ? "–" : indexText(pair.key)}</b>{pair !== null && token(pair.key)}</dd>
      <dt>value</dt><dd><b data-testid="value">{text?.value ?? "–"}</b></dd>
      <dd className="head-kind" data-testid="kind">{text?.kind ?? "point at the map"}</dd>
      <dt>{spec.label}</dt><dd>{number(marginals?.rows[rowMarginal], pair?.query)} {pair !== null && <small>{spec.unit}, query</small>}</dd>
      <dt>column mass</dt><dd>{number(marginals?.column, pair?.key)} {pair !== null && <small>key, all queries</small>}</dd>
      <dt>diagonal mass</dt><dd>{number(marginals?.diagonal, distance)} {distance !== undefined && <small>distance {indexText(distance)}</small>}</dd>
      <dd className="head-hint">{pinned === null ? "click pins the pair" : "pinned; Esc releases"}</dd>
    </dl>
  );
}

