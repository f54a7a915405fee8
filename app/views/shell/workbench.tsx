import { lazy, Suspense } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import type { CaptureSession } from "../../lib/capture-session.ts";
import { busy } from "../../lib/idle.ts";
import { useOverview } from "../../lib/overview.ts";
import { useView } from "../../state/store.ts";
import { HomeView } from "../home/home-view.tsx";
import { KvView } from "../kv/kv-view.tsx";
import { ErrorBoundary } from "./error-boundary.tsx";
import { ProblemPanel } from "./problem-panel.tsx";
import { Rail } from "./rail.tsx";
import { OpenButtons, StartPage } from "./start-page.tsx";

// The map brings workers and WebAssembly; the first look at the heads does not wait for them.
const HeadView = lazy(() => busy.track(import("../head/head-view.tsx").then(({ HeadView: component }) => ({ default: component }))));

export function Workbench({ session }: { session: CaptureSession }) {
  const { loaded, origin, listed } = session;
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
  if (overview.state === "loading") return <main className="page"><p className="waiting">Reading heads</p></main>;
  if (overview.value === null) {
    return (
      <main className="page">
        <div className="problem" role="status">
          <p className="sentence">No layer of this run is finished yet.</p>
          <p>{capture.manifest.status === "running" ? "Reload when the run has closed its first layer." : "Capture again with --resume to finish it."}</p>
        </div>
      </main>
    );
  }
  return (
    <main className="page">
      <ErrorBoundary key={page}>
        {page === "home" ? <HomeView capture={capture} overview={overview.value} /> : (
          <>
            {rail && <Rail overview={overview.value} />}
            <Suspense fallback={<p className="waiting">Loading the map</p>}>
              {page === "head" ? <HeadView capture={capture} /> : <KvView capture={capture} />}
            </Suspense>
          </>
        )}
      </ErrorBoundary>
    </main>
  );
}
