import { Component, type ReactNode } from "react";
import { ProblemPanel } from "./problem-panel.tsx";

/** A fault in one view shows its message in place of it; the rest of the window goes on. Give it a key to try again. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }

  override render(): ReactNode {
    return this.state.error === null ? this.props.children : <ProblemPanel error={this.state.error} />;
  }
}
