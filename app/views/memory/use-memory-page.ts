import { useMemo } from "react";
import { KNOWN_SHAPES, type KnownShape } from "../../../data/model-shapes.ts";
import type { ContextBand, MemoryAllocator, MemoryCatalogue, MemoryConfig } from "../../../native/engine.ts";
import { useActionContext } from "../../actions/context.ts";
import { useAsync } from "../../lib/use-async.ts";
import { placePhases, type PhasePlace } from "../../memory/axis.ts";
import { memoryClient } from "../../memory/client.ts";
import { allocatorOf, configOf, peaksOf, phasesOf, searchOf } from "../../memory/config.ts";
import { deviceById, type MemoryDevice } from "../../memory/devices.ts";
import type { Outlook, TimelineAnswer } from "../../memory/protocol.ts";
import { pinnedSchemes, SCHEMES } from "../../memory/scheme.ts";
import { modelOfCapture } from "../../memory/shapes.ts";
import { useLatest, type Latest } from "../../policies/use-latest.ts";
import { useView } from "../../state/store.ts";
import type { ViewState } from "../../state/view-state.ts";
import { useBands } from "./use-bands.ts";

export const WHOLE = { begin: 0, end: 1 } as const;
/** Columns asked for: more than the widest timeline has pixels. */
const PIXELS = 1600;

/** Everything the page shows of one request. */
export interface MemoryPage {
  catalogue: MemoryCatalogue;
  models: readonly KnownShape[]; model: KnownShape;
  memory: ViewState["memory"]; device: MemoryDevice; allocator: MemoryAllocator;
  config: MemoryConfig;
  /** Schemes it is compared with, and all that have a bar of their longest context. */
  pinned: readonly string[]; schemes: readonly string[];
  outlook: Latest<Outlook>;
  places: readonly PhasePlace[]; sight: { begin: number; end: number };
  timeline: Latest<TimelineAnswer>;
  others: Latest<{ scheme: string; answer: TimelineAnswer }[]>;
  /** By scheme. */
  bands: ReadonlyMap<string, ContextBand>; searching: boolean; searchError: unknown;
}

const readCatalogue = (signal: AbortSignal): Promise<MemoryCatalogue> => memoryClient("live").call("catalogue", {}, signal);

export function useCatalogue() {
  return useAsync(readCatalogue, []);
}

export function useMemoryPage(catalogue: MemoryCatalogue): MemoryPage {
  const { capture } = useActionContext();
  const memory = useView((view) => view.memory), fit = useView((view) => view.memoryFit), pinnedText = useView((view) => view.memoryPinned), window = useView((view) => view.memoryWindow);
  const models = useMemo(() => {
    const own = capture === null ? null : modelOfCapture(capture.manifest);
    return own === null ? KNOWN_SHAPES : [...KNOWN_SHAPES, own];
  }, [capture]);
  const model = models.find(({ id }) => id === memory.model) ?? models[0] as KnownShape;
  const device = deviceById(fit.device), allocator = useMemo(() => allocatorOf(fit), [fit]);
  const pinned = useMemo(() => pinnedSchemes(pinnedText).filter((scheme) => scheme !== memory.scheme), [pinnedText, memory.scheme]);
  const schemes = useMemo(() => [...new Set([memory.scheme, ...pinned, ...SCHEMES.map(({ text }) => text)])], [memory.scheme, pinned]);
  const configs = useMemo(() => schemes.map((scheme) => configOf(memory, model.shape, scheme, device)), [schemes, memory, model, device]);
  const config = configs[0] as MemoryConfig, shown = 1 + pinned.length;
  const phases = useMemo(() => phasesOf([memory.scheme, ...pinned]), [memory.scheme, pinned]);
  const places = useMemo(() => placePhases(phases), [phases]), sight = window ?? WHOLE;

  const live = memoryClient("live"), compare = memoryClient("compare");
  const asked = JSON.stringify([configs, allocator, shown]);
  const outlook = useLatest<Outlook>((signal) => live.call("outlook", { configs, shown, search: searchOf(allocator, 1), device: peaksOf(device) }, signal), asked, "outlook");
  const timeline = useLatest<TimelineAnswer>((signal) => live.call("timeline", { config, allocator, phases, sight, pixels: PIXELS }, signal), JSON.stringify([config, allocator, phases, sight]), "timeline");
  const compared = configs.slice(1, shown);
  const others = useLatest<{ scheme: string; answer: TimelineAnswer }[]>(
    compared.length === 0 ? null : (signal) => Promise.all(compared.map(async (other, i) => ({ scheme: pinned[i] as string, answer: await compare.call("timeline", { config: other, allocator: { ...allocator, budgetBytes: 0 }, phases, sight, pixels: PIXELS }, signal) }))),
    JSON.stringify([compared, allocator, phases, sight]), "others",
  );
  const keys = schemes.map((_, i) => JSON.stringify([{ ...configs[i], promptTokens: 0 }, allocator]));
  const ready = outlook.fresh && outlook.value !== null && outlook.value.byBytes.length === schemes.length ? outlook.value : null;
  const found = useBands(ready === null ? [] : keys.map((key, i) => ({ key, config: configs[i] as MemoryConfig, byBytes: ready.byBytes[i] as number })), allocator);
  const bands = new Map(schemes.flatMap((scheme, i) => {
    const band = found.of.get(keys[i] as string);
    return band === undefined ? [] : [[scheme, band] as const];
  }));
  return { catalogue, models, model, memory, device, allocator, config, pinned, schemes, outlook, places, sight, timeline, others, bands, searching: found.searching, searchError: found.error };
}
