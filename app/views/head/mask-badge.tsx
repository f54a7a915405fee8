import type { Pooling } from "../../tiles/tile.ts";
import { useLive, type LiveMap } from "./live-map.ts";
import { maskText } from "./mask-text.ts";
import type { PaneOverlay } from "./overlay.ts";

/** The policy over the map and what kind of numbers its looks stand for. */
export function MaskBadge({ live, overlay, pooling }: { live: LiveMap; overlay: PaneOverlay; pooling: Pooling }) {
  const { status } = useLive(live);
  const { text, loading } = maskText(overlay, status?.cell ?? 1, pooling);
  return (
    <span className="head-badge" data-testid="mask-badge" data-loading={loading} title={`${overlay.letter} ${overlay.request.policy}: ${text}`}>
      <i className="policy-chip" style={{ background: overlay.hue }} />{overlay.letter} {text}
    </span>
  );
}
