import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ActionRegistry } from "./actions/registry.ts";
import { SHELL_ACTIONS } from "./actions/shell-actions.ts";
import { App, type Services } from "./app.tsx";
import { PaneRegistry } from "./figure/pane.ts";
import { whenIdle } from "./lib/idle.ts";
import { HoverStore } from "./state/hover.ts";
import { initialView } from "./state/persistence.ts";
import { ViewStore } from "./state/store.ts";
import { TimingStore } from "./timings/store.ts";
import { ErrorBoundary } from "./views/shell/error-boundary.tsx";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/home.css";
import "./styles/kv.css";

const { view, problems } = initialView();
const actions = new ActionRegistry();
actions.add(SHELL_ACTIONS);
const services: Services = { store: new ViewStore(view), hover: new HoverStore(), panes: new PaneRegistry(), actions, timings: new TimingStore(), linkProblems: problems };

window.whenIdle = () => whenIdle();

const root = document.getElementById("root");
if (root === null) throw new Error("index.html holds no element with the id root");
createRoot(root).render(
  <StrictMode>
    <ErrorBoundary>
      <App services={services} />
    </ErrorBoundary>
  </StrictMode>,
);
