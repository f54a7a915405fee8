import type { MemoryCatalogue, PolicyParameter } from "../../../native/engine.ts";
import { GIB, MEMORY_DEVICES } from "../../memory/devices.ts";
import { MOST_GENERATED, readScheme, STANDARD, writeScheme, type Scheme } from "../../memory/scheme.ts";
import { CAPTURE_MODEL, shapeText } from "../../memory/shapes.ts";
import { useStore, useView } from "../../state/store.ts";
import type { ViewState } from "../../state/view-state.ts";
import { ParameterControl } from "../policies/parameter-control.tsx";
import { Segmented } from "../shell/segmented.tsx";
import type { MemoryPage } from "./use-memory-page.ts";

const parameter = (name: string, doc: string, minimum: number, maximum: number, fallback: number): PolicyParameter =>
  ({ name, doc, minimum, maximum, fallback, type: "integer", unit: "tokens", logarithmic: true, scales: false, choices: [] });

const CONTEXT = parameter("context", "Prompt tokens", 1, 4_194_304, 131_072);
const GENERATED = parameter("output", "Generated tokens", 1, MOST_GENERATED, 200);
const CHUNK = parameter("chunk", "Tokens of one prefill call; 0: the whole prompt in one", 0, 65_536, 0);
const PIECE = parameter("piece", "Tokens of one piece of the MLP", 1, 65_536, 4096);
const PIECES = { ...parameter("pieces", "Pieces that the MLP is cut into", 1, 512, 8), unit: "" };

/** The configuration; every change is drawn at once. */
export function MemoryForm({ page }: { page: MemoryPage }) {
  const { memory, model, models, catalogue, device, allocator } = page;
  const store = useStore(), fit = useView((view) => view.memoryFit), scheme = readScheme(memory.scheme) ?? STANDARD;
  const set = (change: Partial<ViewState["memory"]>, gesture?: string): void => store.set({ memory: { ...memory, ...change }, memoryCursor: null }, gesture === undefined ? {} : { gesture });
  const run = (change: Partial<Scheme>, gesture?: string): void => set({ scheme: writeScheme({ ...scheme, ...change }) }, gesture);
  const place = (change: Partial<ViewState["memoryFit"]>, gesture?: string): void => store.set({ memoryFit: { ...fit, ...change }, memoryCursor: null }, gesture === undefined ? {} : { gesture });
  return (
    <section className="memory-form" aria-label="Configuration">
      <label className="field" title={shapeText(model.shape)}><span>Model</span>
        <select value={model.id} onChange={(event) => set({ model: event.target.value })}>{models.map(({ id, name }) => <option key={id} value={id}>{name}</option>)}</select>
      </label>
      {model.id !== memory.model && <p className="caption" data-testid="model-missing">The link asks for {memory.model === CAPTURE_MODEL ? "the model of a capture that is not open" : memory.model}; {model.name} is shown.</p>}
      <label className="field" title={docOf(catalogue, memory.by)}><span>Run by</span>
        <select value={memory.by} onChange={(event) => set({ by: event.target.value })}>{catalogue.implementations.map(({ id }) => <option key={id} value={id}>{id}</option>)}</select>
      </label>
      <div className="parameters">
        <ParameterControl parameter={CONTEXT} value={memory.tokens} ticks={[]} onChange={(tokens, dragging) => set({ tokens }, dragging ? "memory context" : undefined)} />
        <ParameterControl parameter={GENERATED} value={memory.generated} ticks={[]} onChange={(generated, dragging) => set({ generated }, dragging ? "memory generated" : undefined)} />
        <ParameterControl parameter={CHUNK} value={scheme.chunk} ticks={[{ value: 8192, title: "8,192: MOM's baseline" }]} onChange={(chunk, dragging) => run({ chunk }, dragging ? "memory chunk" : undefined)} />
      </div>
      <div className="memory-choice">
        <Segmented label="Logits" value={scheme.rows} onChange={(rows) => run({ rows })} options={[{ value: "all", label: "All tokens", title: "Logits of every prompt token" }, { value: "last", label: "Last", title: "Logits of the last token alone" }]} />
        <label className="field" title="Logits copied to fp32, as transformers did before 4.45"><input type="checkbox" checked={scheme.upcast} onChange={(event) => run({ upcast: event.target.checked })} /> fp32</label>
      </div>
      <Segmented label="MLP" value={scheme.mini} onChange={(mini) => run({ mini })} options={[{ value: "off", label: "Whole" }, { value: "size", label: "By size", title: "Mini-sequences: pieces of so many tokens" }, { value: "count", label: "By count", title: "So many pieces" }]} />
      {scheme.mini !== "off" && (
        <div className="parameters">
          {scheme.mini === "size" ? <ParameterControl parameter={PIECE} value={scheme.piece} ticks={[]} onChange={(piece, dragging) => run({ piece }, dragging ? "memory piece" : undefined)} />
            : <ParameterControl parameter={PIECES} value={scheme.pieces} ticks={[]} onChange={(pieces, dragging) => run({ pieces }, dragging ? "memory piece" : undefined)} />}
        </div>
      )}
      <div className="memory-choice">
        <Segmented label="Offload" value={scheme.offload} onChange={(offload) => run(offload === "none" ? { offload, reload: true } : { offload, inPlace: false })} options={[{ value: "none", label: "None" }, { value: "layer", label: "Layer", title: "Keys and values wait on the host, a layer at once (MOM)" }, { value: "head", label: "Head", title: "A kv head at once (HeadInfer)" }]} />
        {scheme.offload !== "none" && <label className="field" title="Keys and values come back to the device when prefill ends"><input type="checkbox" checked={scheme.reload} onChange={(event) => run({ reload: event.target.checked })} /> reload</label>}
      </div>
      <Segmented label="Cache" value={scheme.inPlace ? "in" : "grow"} onChange={(cache) => run(cache === "in" ? { inPlace: true, offload: "none", reload: true } : { inPlace: false })} options={[{ value: "grow", label: "Growing", title: "Copied to append to it, as DynamicCache does" }, { value: "in", label: "In place", title: "Allocated once, written into" }]} />
      <Segmented label="KV type" value={memory.kv} onChange={(kv) => set({ kv })} options={[{ value: "model", label: "bf16" }, { value: "int8", label: "int8", title: "Scales and zero points: keys a channel and 32 tokens, values a token and 32 channels (KIVI)" }, { value: "int4", label: "int4", title: "Scales and zero points: keys a channel and 32 tokens, values a token and 32 channels (KIVI)" }]} />
      <label className="field" title={device.note}><span>Device</span>
        <select value={device.id} onChange={(event) => place({ device: event.target.value, gib: 0 })}>{MEMORY_DEVICES.map(({ id, name }) => <option key={id} value={id}>{name.replace(/^NVIDIA /, "")}</option>)}</select>
      </label>
      <div className="memory-choice">
        <Budget bytes={allocator.budgetBytes} own={fit.gib > 0} note={device.note} onChange={(gib) => place({ gib }, "memory budget")} />
        <label className="field" title="PyTorch's expandable segments: almost nothing is lost between blocks"><input type="checkbox" checked={fit.segments === "expandable"} onChange={(event) => place({ segments: event.target.checked ? "expandable" : "fixed" })} /> expandable</label>
      </div>
    </section>
  );
}

const docOf = (catalogue: MemoryCatalogue, id: string): string => catalogue.implementations.find((implementation) => implementation.id === id)?.doc ?? "";

function Budget({ bytes, own, note, onChange }: { bytes: number; own: boolean; note: string; onChange: (gib: number) => void }) {
  return (
    <label className="field" title={own ? "Stated by hand" : note}><span>Budget</span>
      <input type="number" min={0.001} max={65_536} step="any" value={Math.round((bytes / GIB) * 100) / 100} aria-label="Budget in GiB" onChange={(event) => { if (event.target.valueAsNumber > 0 && event.target.valueAsNumber <= 65_536) onChange(event.target.valueAsNumber); }} />
      <span className="unit">GiB</span>
      <button type="button" className="plain reset" disabled={!own} aria-label="The device's own budget" title="The device's own" onClick={() => onChange(0)}>{own ? "↺" : ""}</button>
    </label>
  );
}
