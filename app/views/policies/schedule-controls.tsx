import { count } from "../../lib/format.ts";
import type { CatalogueAnswer } from "../../policies/protocol.ts";
import { useTimer } from "../../policies/times.tsx";
import { useStore, useView } from "../../state/store.ts";
import { DeviceSelect } from "../charts/time-note.tsx";
import { Segmented } from "../shell/segmented.tsx";

const whole = (value: number, most: number): number | null => (Number.isInteger(value) && value >= 0 && value <= most ? value : null);

/** What all rows share: which query rows count, and how the sequence was fed. */
export function ScheduleControls({ described, totalTokens }: { described: CatalogueAnswer; totalTokens: number }) {
  const store = useStore();
  const timer = useTimer();
  const rowsMode = useView((view) => view.rowsMode), context = useView((view) => view.context), chunk = useView((view) => view.chunk);
  return (
    <div className="schedule">
      <Segmented
        label="Rows" value={rowsMode} onChange={(value) => store.set({ rowsMode: value })}
        options={[
          { value: "sample", label: "Sample", title: "The last 64 prompt rows and 192 earlier; for retention and retrieval up to 256 from the context on" },
          { value: "all", label: "All", title: "Every stored row, computed in the background" },
        ]}
      />
      <label className="field" title="Tokens fed as prompt before retention and retrieval act; empty: where the question begins">
        <span>Context</span>
        <input
          type="number" min={0} max={totalTokens} value={context ?? ""} placeholder={count(described.defaultContext)}
          onChange={(event) => {
            const value = whole(event.target.valueAsNumber, totalTokens);
            if (event.target.value === "" || value !== null) store.set({ context: event.target.value === "" ? null : value }, { gesture: "context" });
          }}
        />
      </label>
      <label className="field" title="Tokens a chunk in which the context is fed to retention policies; 0: in one piece">
        <span>Chunk</span>
        <input
          type="number" min={0} max={totalTokens} step={64} value={chunk}
          onChange={(event) => {
            const value = whole(event.target.valueAsNumber, totalTokens);
            if (value !== null) store.set({ chunk: value }, { gesture: "chunk" });
          }}
        />
      </label>
      {timer !== null && timer.device !== null && <DeviceSelect timer={timer} />}
    </div>
  );
}
