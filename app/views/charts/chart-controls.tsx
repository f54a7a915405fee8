import { useStore, useView } from "../../state/store.ts";
import { Segmented } from "../shell/segmented.tsx";

/** What is lost, up the charts. */
export function LossControl() {
  const store = useStore();
  const loss = useView((view) => view.chartLoss);
  return (
    <Segmented
      label="Loss" value={loss} onChange={(value) => store.set({ chartLoss: value })}
      options={[
        { value: "error", label: "Error", title: "Relative L2 error of the head's output, renormalised over kept keys" },
        { value: "recall", label: "Mass", title: "Attention mass on dropped keys: 1 - recall" },
        { value: "recall_no_sinks", label: "No sinks", title: "The same outside the first sink tokens, which flatter recall" },
      ]}
    />
  );
}

/** What it costs, along the charts of retention and retrieval. */
export function CostControl() {
  const store = useStore();
  const cost = useView((view) => view.chartCost);
  return (
    <Segmented
      label="Cost" value={cost} onChange={(value) => store.set({ chartCost: value })}
      options={[
        { value: "bytes", label: "Work", title: "What the family really spends: kernel cells, resident bytes, bytes read a step" },
        { value: "keys", label: "Keys", title: "Keys a row, resident tokens, keys read a step" },
        { value: "time", label: "Time", title: "Prefill or a step of the whole model on the chosen device, from its table of timings" },
      ]}
    />
  );
}
