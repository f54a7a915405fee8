import { useActionContext } from "../../actions/context.ts";
import { chordKeys } from "../../actions/chord.ts";
import type { CaptureSession } from "../../lib/capture-session.ts";
import { count } from "../../lib/format.ts";
import { useStore, useView } from "../../state/store.ts";
import type { ViewState } from "../../state/view-state.ts";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { deviceFacts, partFacts, partLabel } from "./capture-facts.ts";
import { CaptureMenu } from "./capture-menu.tsx";

const PAGES: readonly { page: ViewState["page"]; label: string; key: string }[] = [
  { page: "home", label: "Heads", key: "1" },
  { page: "head", label: "Map", key: "2" },
  { page: "kv", label: "KV cache", key: "3" },
  { page: "timings", label: "Timings", key: "4" },
  { page: "memory", label: "Memory", key: "5" },
];

const THEMES = { system: "Auto", light: "Light", dark: "Dark" } as const;
const NEXT_THEME = { system: "light", light: "dark", dark: "system" } as const;

export function Header({ session, notice }: { session: CaptureSession; notice: string }) {
  const store = useStore();
  const context = useActionContext();
  const page = useView((view) => view.page);
  const theme = useView((view) => view.theme);
  const capture = session.loaded.value;
  // Timings are of kernels, memory is of a request: they need no capture.
  const open = (item: ViewState["page"]): boolean => capture !== null || item === "timings" || item === "memory";
  return (
    <header className="header">
      <span className="brand">attnscope</span>
      <CaptureMenu session={session} />
      {capture !== null && <Facts capture={capture} />}
      <nav aria-label="Pages" className="tabs">
        {PAGES.map((item) => (
          <button
            key={item.page} type="button" disabled={!open(item.page)} title={`${item.label} (${item.key})`}
            aria-current={item.page === page && open(page) ? "page" : undefined} onClick={() => store.set({ page: item.page })}
          >
            {item.label}
          </button>
        ))}
      </nav>
      <span className="spacer" />
      <span className="notice" role="status">{notice}</span>
      <button type="button" className="plain" onClick={() => context.openOverlay("palette")} title="Find an action">
        Find <kbd>{chordKeys("Mod+KeyK").join(" ")}</kbd>
      </button>
      <button type="button" className="plain" disabled={!open(page)} onClick={() => context.share()} title="Copy a link to this view (L)">Share</button>
      <button type="button" className="plain" disabled={!open(page)} onClick={() => context.openOverlay("export")} title="Export figure or data (E)">Export</button>
      <button type="button" className="plain theme-button" onClick={() => store.set({ theme: NEXT_THEME[theme] })} title={`Theme: ${THEMES[theme]}. Click for ${THEMES[NEXT_THEME[theme]]}.`}>
        {THEMES[theme]}
      </button>
      <button type="button" className="plain" onClick={() => context.openOverlay("help")} aria-label="Keyboard help" title="Keyboard help">?</button>
    </header>
  );
}

/** What was run, and what must be known before its numbers are believed. */
function Facts({ capture }: { capture: Capture }) {
  const { model, device, status } = capture.manifest;
  const tokens = capture.totalTokens;
  const untrained = model.trainedContext !== null && tokens > model.trainedContext;
  const facts = `${capital(model.family)} ${model.layers}L ${model.heads}H${model.kvHeads === model.heads ? "" : `/${model.kvHeads}`} · ${count(tokens)} tok · ${device.kind}`;
  return (
    <>
      <span className="facts num" title={`${facts}\n${deviceFacts(device)}`}>{facts}</span>
      {model.demo && <span className="tag" title="A small model trained for this project; no claim about real models rests on it.">demo model</span>}
      {status !== "complete" && (
        <span className="tag warn" title={partFacts(capture.manifest)}>
          {partLabel(capture.manifest)}
        </span>
      )}
      {untrained && <span className="tag warn" title={`${count(tokens)} tokens; the model card states ${count(model.trainedContext ?? 0)}.`}>untrained length</span>}
    </>
  );
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
