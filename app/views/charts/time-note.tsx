import type { Timer } from "../../policies/times.tsx";
import { useStore } from "../../state/store.ts";
import { isMeasured } from "../../timings/devices.ts";

/** Whose times are shown, and of what there are none. */
export function TimeNote({ timer, policies, metrics }: { timer: Timer | null; policies: readonly string[]; metrics: readonly (Float64Array | undefined)[] }) {
  if (timer === null) return null;
  const { device, of } = timer;
  if (device === null) return <p className="caption" data-testid="time-note">No table of timings is here: open one on the Timings page (4).</p>;
  const missing = of === null ? [] : [...new Set(policies.flatMap((text, i) => (text === "" || metrics[i] === undefined ? [] : of(text, metrics[i])?.missing ?? [])))];
  return (
    <>
      <DeviceSelect timer={timer} />
      {missing.length > 0 && <p className="caption" data-testid="time-note">No timing of {missing.join(", ")} on this device.</p>}
    </>
  );
}

/** The device whose timings count, here and on the Timings page. */
export function DeviceSelect({ timer: { device, devices } }: { timer: Timer }) {
  const store = useStore();
  return (
    <label className="field device-select" title="Device whose measured times count, here and on the Timings page"><span>Times of</span>
      <select value={device?.id ?? ""} onChange={(event) => store.set({ device: event.target.value })}>
        {devices.map((item) => <option key={item.id} value={item.id}>{item.name}{isMeasured(item) ? "" : ", data sheet"}</option>)}
      </select>
    </label>
  );
}
