import { useCallback, useEffect, useLayoutEffect, useMemo, useState, useSyncExternalStore } from "react";
import { CurrentActionContext } from "./actions/context.ts";
import { ActionRegistryContext, type ActionRegistry } from "./actions/registry.ts";
import type { ActionContext, Overlay } from "./actions/types.ts";
import { useKeys } from "./actions/use-keys.ts";
import { PaneContext, type PaneRegistry } from "./figure/pane.ts";
import { useCaptureSession } from "./lib/capture-session.ts";
import { timingFiles, type CaptureOrigin } from "./lib/open-capture.ts";
import { pickFolder, pickTimings, pickZip } from "./lib/pick.ts";
import { useWindowProblems } from "./lib/window-problems.ts";
import { PaletteContext } from "./marks/theme.ts";
import { HoverContext, type HoverStore } from "./state/hover.ts";
import { bindPersistence } from "./state/persistence.ts";
import { ViewStoreContext, type ViewStore } from "./state/store.ts";
import { writeLink, type LinkProblem } from "./state/url.ts";
import { TimingContext } from "./timings/context.tsx";
import type { TimingStore } from "./timings/store.ts";
import { applyPalette, onSystemTheme, paletteOf, systemTheme } from "./styles/theme.ts";
import { Banner } from "./views/shell/banner.tsx";
import { DropTarget } from "./views/shell/drop-target.tsx";
import { Header } from "./views/shell/header.tsx";
import { Overlays } from "./views/shell/overlays.tsx";
import { Workbench } from "./views/shell/workbench.tsx";

/** What lives as long as the window, made once in main.tsx. */
export interface Services {
  store: ViewStore;
  hover: HoverStore;
  panes: PaneRegistry;
  actions: ActionRegistry;
  timings: TimingStore;
  linkProblems: LinkProblem[];
}

export function App({ services }: { services: Services }) {
  const { store, hover, panes, actions, timings } = services;
  const palette = useThemePalette(store);
  const [problems, setProblems] = useState<readonly LinkProblem[]>(services.linkProblems);
  const [overlay, setOverlay] = useState<Overlay>(null);
  const [notice, setNotice] = useState("");
  const addProblems = useCallback((added: LinkProblem[]) => setProblems((last) => [...last, ...added]), []);
  const session = useCaptureSession(store, addProblems);
  const faults = useWindowProblems();

  const capture = session.loaded.value;
  useEffect(() => bindPersistence(store, capture?.manifest ?? null, setProblems), [store, capture]);

  const { open: openCapture } = session;
  const openTables = useCallback((files: readonly File[]) => {
    store.set({ page: "timings" });
    void timings.open(files);
  }, [store, timings]);
  const open = useCallback((origin: CaptureOrigin) => {
    const tables = timingFiles(origin);
    if (tables.length > 0) openTables(tables);
    else openCapture(origin);
  }, [openCapture, openTables]);
  const context = useMemo<ActionContext>(() => ({
    store, panes, capture, overlay, openOverlay: setOverlay,
    pickFolder: () => pickFolder(open),
    pickZip: () => pickZip(open),
    pickTimings: () => pickTimings(openTables),
    // The address bar follows the view after a pause; the link is of now.
    share: () => void navigator.clipboard.writeText(new URL(`#${writeLink(store.get())}`, location.href).href).then(
      () => setNotice("Link copied"),
      () => setNotice("The browser refused the clipboard; copy the address bar"),
    ),
  }), [store, panes, capture, overlay, open, openTables]);
  useKeys(actions, context);

  useEffect(() => {
    if (notice === "") return;
    const timer = setTimeout(() => setNotice(""), 2500);
    return () => clearTimeout(timer);
  }, [notice]);

  return (
    <ViewStoreContext value={store}>
      <HoverContext value={hover}>
        <PaneContext value={panes}>
          <TimingContext value={timings}>
            <PaletteContext value={palette}>
              <ActionRegistryContext value={actions}>
                <CurrentActionContext value={context}>
                  <DropTarget onOpen={open} onProblem={session.fail}>
                    <Header session={session} notice={notice} />
                    <Banner problems={[...problems, ...faults.problems]} onClose={() => {
                      setProblems([]);
                      faults.clear();
                    }} />
                    <Workbench session={session} />
                    <Overlays overlay={overlay} onClose={() => setOverlay(null)} />
                  </DropTarget>
                </CurrentActionContext>
              </ActionRegistryContext>
            </PaletteContext>
          </TimingContext>
        </PaneContext>
      </HoverContext>
    </ViewStoreContext>
  );
}

function useThemePalette(store: ViewStore) {
  const theme = useSyncExternalStore(store.subscribe, () => store.get().theme);
  const system = useSyncExternalStore(onSystemTheme, systemTheme);
  const palette = paletteOf(theme, system);
  // Before the first paint, so that no frame shows the other theme.
  useLayoutEffect(() => applyPalette(document.documentElement, palette), [palette]);
  return palette;
}
