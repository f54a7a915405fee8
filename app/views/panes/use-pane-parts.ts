import { useEffect, useMemo } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { usePalette } from "../../marks/theme.ts";
import { usePolicies } from "../../policies/context.tsx";
import { LETTERS, requestOf } from "../../policies/pane-policy.ts";
import type { ReplayRequest } from "../../policies/protocol.ts";
import type { ViewState } from "../../state/view-state.ts";
import { MaskSight } from "../../tiles/mask-sight.ts";
import type { TileService } from "../../tiles/service.ts";
import type { PaneOverlay } from "../head/overlay.ts";
import { useHeadData, type HeadData } from "../head/use-head-data.ts";
import { paneModel, type PaneModel, type PaneSide } from "./pane-model.ts";

/** One pane's model and what is read or computed for it. */
export interface PaneParts { model: PaneModel; data: HeadData; overlay: PaneOverlay | null }

interface Input {
  capture: Capture; service: TileService | null; view: ViewState; side: PaneSide;
  /** A first tile arrived: what is read beside the picture may be read now. */
  started: boolean;
  /** A mask arrived: draw again. */
  changed(side: PaneSide): void;
}

/** `changed` must stay the same function. */
export function usePaneParts({ capture, service, view, side, started, changed }: Input): PaneParts {
  const palette = usePalette();
  const { client } = usePolicies();
  const total = capture.totalTokens;
  const used = side === "first" || view.panes === 2;
  const fresh = paneModel(view, side, total);
  const { layer, head, policy, window, colour } = fresh;
  // The same object until something in it changed, so that what depends on it rests.
  const { key, query, span } = window;
  const stable = useMemo(() => ({ key, query, span }), [key, query, span]);
  const model = useMemo<PaneModel>(() => ({ side, layer, head, window: stable, colour, policy }), [side, layer, head, stable, colour, policy]);
  const data = useHeadData(used ? service : null, layer, head, view.rowMarginal, started);

  const masks = useMemo(() => (client === null ? null : new MaskSight(client, () => changed(side))), [client, side, changed]);
  useEffect(() => () => masks?.close(), [masks]);

  const { policies, context, chunk, rowsMode } = view;
  const text = policies[policy] ?? "";
  const request = useMemo<ReplayRequest | null>(
    () => (text === "" ? null : requestOf({ policies: [text, "", "", ""], context, chunk, rowsMode }, 0, layer, head)),
    [text, context, chunk, rowsMode, layer, head],
  );
  const overlay = useMemo<PaneOverlay | null>(() => (
    !used || masks === null || request === null ? null
      : { masks, request, letter: LETTERS[policy] ?? "", hue: palette.policies[policy] ?? palette.accent }
  ), [used, masks, request, policy, palette]);
  useEffect(() => { if (overlay === null) masks?.want(null); }, [overlay, masks]);
  return { model, data, overlay };
}
