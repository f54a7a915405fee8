import { useState, type DragEvent, type ReactNode } from "react";
import { originOfDrop, type CaptureOrigin } from "../../lib/open-capture.ts";

/** The whole window takes a dropped capture. */
export function DropTarget({ onOpen, onProblem, children }: {
  onOpen: (origin: CaptureOrigin) => void;
  onProblem: (error: unknown) => void;
  children: ReactNode;
}) {
  const [over, setOver] = useState(false);
  return (
    <div
      className="app"
      onDragOver={(event) => {
        if (!carriesFiles(event)) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={(event) => {
        if (event.relatedTarget === null) setOver(false);
      }}
      onDrop={(event) => {
        if (!carriesFiles(event)) return;
        event.preventDefault();
        setOver(false);
        originOfDrop(event.dataTransfer).then(onOpen, onProblem);
      }}
    >
      {children}
      {over && <div className="drop-hint">Drop a capture’s folder or .zip, or a timings.arrow. It stays in this browser.</div>}
    </div>
  );
}

const carriesFiles = (event: DragEvent): boolean => event.dataTransfer.types.includes("Files");
