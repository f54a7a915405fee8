import { useState, useSyncExternalStore } from "react";
import { useActionContext } from "../../actions/context.ts";
import type { FigureSpec, Pane } from "../../figure/pane.ts";
import { usePanes } from "../../figure/pane.ts";
import { CSS_DPI, download, exportPane, type ExportFormat } from "../../figure/save.ts";
import { count } from "../../lib/format.ts";
import { useAsync } from "../../lib/use-async.ts";
import { Dialog } from "./dialog.tsx";
import { ProblemPanel } from "./problem-panel.tsx";
import { Segmented } from "./segmented.tsx";

const MM_PER_INCH = 25.4;
const KINDS = [
  { value: "svg", label: "SVG", title: "Vector text and axes; the matrix as a sharp image" },
  { value: "png", label: "PNG", title: "Pixels at a size you choose" },
  { value: "csv", label: "CSV", title: "Exactly the data that is plotted, unsampled" },
] as const;
type Kind = (typeof KINDS)[number]["value"];

/** Any pane on screen as a figure or as data. */
export function ExportDialog({ onClose }: { onClose: () => void }) {
  const { capture, store } = useActionContext();
  const registry = usePanes();
  const panes = useSyncExternalStore(registry.subscribe, registry.list);
  const [id, setId] = useState(panes[0]?.id ?? "");
  const [kind, setKind] = useState<Kind>("svg");
  const [millimetres, setMillimetres] = useState<number | null>(null);
  const [dpi, setDpi] = useState(300);
  const [working, setWorking] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const pane = panes.find((item) => item.id === id) ?? panes[0];
  const figure = useAsync(pane === undefined ? null : () => pane.toFigure(), [pane]);
  // A figure starts at the size it has on screen.
  const width = millimetres ?? Math.round(((figure.value?.width ?? 0) / CSS_DPI) * MM_PER_INCH);

  const save = (format: ExportFormat, chosen: Pane): void => {
    setWorking(true);
    setError(null);
    exportPane(chosen, capture, store.get(), format).then(download).then(onClose, setError).finally(() => setWorking(false));
  };
  const pixels = Math.round((width / MM_PER_INCH) * dpi);
  return (
    <Dialog label="Export" className="export" onClose={onClose}>
      <h2>Export</h2>
      {pane === undefined ? <p>Nothing on this page can be exported. Open the heads, a map, the KV page or the timings first.</p> : (
        <form onSubmit={(event) => {
          event.preventDefault();
          save(kind === "png" ? { kind, width: pixels, dpi } : { kind }, pane);
        }}>
          <fieldset>
            <legend>What</legend>
            {panes.map((item) => (
              <label key={item.id} className="choice"><input type="radio" name="pane" checked={item === pane} onChange={() => {
                setId(item.id);
                setError(null);
              }} /> {item.title}</label>
            ))}
          </fieldset>
          <Segmented label="As" value={kind} options={KINDS} onChange={(next) => {
            setKind(next);
            setError(null);
          }} />
          {kind === "png" && (
            <p className="row">
              <label className="field"><span>Width</span><input type="number" min={10} max={2000} value={width} onChange={(event) => setMillimetres(event.target.valueAsNumber || 10)} /> mm</label>
              <label className="field"><span>at</span><input type="number" min={36} max={2400} value={dpi} onChange={(event) => setDpi(event.target.valueAsNumber || 300)} /> dpi</label>
            </p>
          )}
          <p className="quiet num">{figure.state === "failed" && kind !== "csv" ? "" : describe(kind, figure.value, pixels)}</p>
          {figure.state === "failed" && kind !== "csv" && <ProblemPanel error={figure.error} />}
          {error !== null && <ProblemPanel error={error} />}
          <p className="row end">
            <button type="button" onClick={onClose}>Cancel</button>
            <button type="submit" className="primary" disabled={working || (kind !== "csv" && figure.value === null)}>{working ? "Writing" : "Save file"}</button>
          </p>
        </form>
      )}
    </Dialog>
  );
}

function describe(kind: Kind, figure: FigureSpec | null, pixels: number): string {
  if (kind === "csv") return "UTF-8, header line, provenance in # lines";
  if (figure === null) return "Waiting until everything in sight is drawn";
  return kind === "svg" ? `${count(figure.width)} × ${count(figure.height)} px, as on screen` : `${count(pixels)} × ${count(Math.round((pixels * figure.height) / figure.width))} px`;
}
