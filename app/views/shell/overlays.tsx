import type { Overlay } from "../../actions/types.ts";
import { ActionPalette } from "./action-palette.tsx";
import { ExportDialog } from "./export-dialog.tsx";
import { HelpOverlay } from "./help-overlay.tsx";

/** At most one dialog is open. */
export function Overlays({ overlay, onClose }: { overlay: Overlay; onClose: () => void }) {
  switch (overlay) {
    case "help": return <HelpOverlay onClose={onClose} />;
    case "palette": return <ActionPalette onClose={onClose} />;
    case "export": return <ExportDialog onClose={onClose} />;
    case null: return null;
  }
}
