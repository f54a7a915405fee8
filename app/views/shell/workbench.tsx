import type { Capture } from "../../../data/reader/capture-types.ts";
import type { CaptureSession } from "../../lib/capture-session.ts";
import { useOverview } from "../../lib/overview.ts";
import { PoliciesProvider } from "../../policies/context.tsx";
import { TimesProvider } from "../../policies/times.tsx";
import { GridRunner } from "../../policies/use-model-grid.ts";
import { useAsync } from "../../lib/use-async.ts";
import { useView } from "../../state/store.ts";
import { HomeView } from "../home/home-view.tsx";
import { KvView } from "../kv/kv-view.tsx";
import { Drawer } from "../policies/drawer.tsx";
import { PolicyPanel } from "../policies/policy-panel.tsx";
import { ErrorBoundary } from "./error-boundary.tsx";
import { ProblemPanel } from "./problem-panel.tsx";
import { Rail } from "./rail.tsx";
import { OpenButtons, StartPage } from "./start-page.tsx";

type MapCode = typeof import("../head/head-view.tsx");

// The map brings workers and WebAssembly; the first look at the heads does not wait for them.
let mapCode: MapCode | null = null;
const importMap = async (): Promise<MapCode> => (mapCode ??= await import("../head/head-view.tsx"));
// A link to a map fetches its code while the manifest is read.
const early = new URLSearchParams(location.hash.slice(1)).get("page") === "head" ? importMap() : null;

export function Workbench({ session }: { session: CaptureSession }) {
  const { loaded, origin, listed } = session;
  const page = useView((view) => view.page);
  // Timings are of kernels and need no capture, whatever became of one.
  if (page === "timings") return <main className="page"><ErrorBoundary><TimingsPage /></ErrorBoundary></main>;
  if (page === "memory") return <main className="page"><ErrorBoundary><MemoryPage /></ErrorBoundary></main>;
  if (loaded.state === "failed") return <main className="page"><ProblemPanel error={loaded.error}><OpenButtons /></ProblemPanel></main>;
  if (loaded.value !== null) return <Opened key={loaded.value.label} capture={loaded.value} />;
  if (origin === null && listed !== null) return <StartPage />;
  return <main className="page"><p className="waiting">{origin === null ? "" : `Opening ${session.name}`}</p></main>;
}

function Opened({ capture }: { capture: Capture }) {
  const page = useView((view) => view.page);
  const rail = useView((view) => view.rail);
  const overview = useOverview(capture);
  if (overview.state === "failed") return <main className="page"><ProblemPanel error={overview.error} /></main>;
  // The map waits for its own tile, not for every head's thumbnail: those are 8 MB for 1,024 heads.
  if (overview.state === "loading" && page === "home") return <main className="page"><p className="waiting">Reading heads</p></main>;
  if (overview.state !== "loading" && overview.value === null) return <NothingFinished running={capture.manifest.status === "running"} />;
  return (
    <PoliciesProvider capture={capture}><TimesProvider capture={capture}>
      <GridRunner />
      <main className="page">
        <ErrorBoundary key={page}>
          {page === "home" ? overview.value !== null && <HomeView capture={capture} overview={overview.value} /> : (
            <>
              {rail && (overview.value === null ? <aside className="rail" aria-label="Heads" /> : <Rail overview={overview.value} />)}
              {page === "head" ? <div className="map-column"><MapPage capture={capture} /><Drawer capture={capture} /></div> : <KvView capture={capture} />}
            </>
          )}
        </ErrorBoundary>
        {page !== "kv" && <ErrorBoundary><PolicyPanel capture={capture} /></ErrorBoundary>}
      </main>
    </TimesProvider></PoliciesProvider>
  );
}

/** The map once its code is here. Not through Suspense: React holds what a fallback gives way to back for 300 ms. */
type TimingsCode = typeof import("../timings/timings-view.tsx");
let timingsCode: TimingsCode | null = null;
const importTimings = async (): Promise<TimingsCode> => (timingsCode ??= await import("../timings/timings-view.tsx"));

function TimingsPage() {
  const read = useAsync(importTimings, []);
  if (read.state === "failed") throw read.error;
  const code = timingsCode ?? read.value;
  return code === null ? <p className="waiting">Loading the timings</p> : <code.TimingsView />;
}

type MemoryCode = typeof import("../memory/memory-view.tsx");
let memoryCode: MemoryCode | null = null;
const importMemory = async (): Promise<MemoryCode> => (memoryCode ??= await import("../memory/memory-view.tsx"));

function MemoryPage() {
  const read = useAsync(importMemory, []);
  if (read.state === "failed") throw read.error;
  const code = memoryCode ?? read.value;
  return code === null ? <p className="waiting">Loading the memory page</p> : <code.MemoryView />;
}

function MapPage({ capture }: { capture: Capture }) {
  const read = useAsync(() => early ?? importMap(), []);
  if (read.state === "failed") throw read.error;
  const code = mapCode ?? read.value;
  return code === null ? <p className="waiting">Loading the map</p> : <code.HeadView capture={capture} />;
}

function NothingFinished({ running }: { running: boolean }) {
  return (
    <main className="page">
      <div className="problem" role="status">
        <p className="sentence">No layer of this run is finished yet.</p>
        <p>{running ? "Reload when the run has closed its first layer." : "Capture again with --resume to finish it."}</p>
      </div>
    </main>
  );
}
