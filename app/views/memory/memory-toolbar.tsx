import { pinnedSchemes, PINNED_SCHEMES, schemeName, SCHEMES, shortName, writePinned } from "../../memory/scheme.ts";
import { useStore, useView } from "../../state/store.ts";
import { togglePinned } from "./actions.ts";
import { DASHES } from "./draw-timeline.ts";
import type { MemoryPage } from "./use-memory-page.ts";

/** Which scheme, beside which others. */
export function MemoryToolbar({ page: { memory, pinned } }: { page: MemoryPage }) {
  const store = useStore(), pinnedText = useView((view) => view.memoryPinned), blocks = useView((view) => view.memoryBlocks), zoomed = useView((view) => view.memoryWindow !== null);
  const named = SCHEMES.find(({ text }) => text === memory.scheme), isPinned = pinnedSchemes(pinnedText).includes(memory.scheme);
  return (
    <div className="toolbar memory-toolbar">
      <label className="field" title={named?.doc ?? "As configured on the right"}><span>Scheme</span>
        <select value={memory.scheme} onChange={(event) => store.set({ memory: { ...memory, scheme: event.target.value }, memoryCursor: null })}>
          {named === undefined && <option value={memory.scheme}>{schemeName(memory.scheme)}</option>}
          {SCHEMES.map(({ text, name }) => <option key={text} value={text}>{name}</option>)}
        </select>
      </label>
      <span className="field"><span>Compared with</span>
        {pinned.map((scheme, i) => (
          <button key={scheme} type="button" className="pinned" title={`${schemeName(scheme)}: no longer compare`} aria-label={`No longer compare with ${schemeName(scheme)}`} onClick={() => store.set({ memoryPinned: writePinned(pinnedSchemes(pinnedText).filter((other) => other !== scheme)) })}>
            <svg width="20" height="8" aria-hidden="true"><line x1="0" x2="20" y1="4" y2="4" stroke="currentColor" strokeWidth="1.5" strokeDasharray={DASHES[i]} /></svg>
            {shortName(scheme)} <span aria-hidden="true">×</span>
          </button>
        ))}
        <AddScheme pinned={pinned} scheme={memory.scheme} pinnedText={pinnedText} />
      </span>
      <button type="button" aria-pressed={isPinned} title={isPinned ? "No longer kept for comparison (C)" : "Keep this scheme for comparison while looking at another (C)"} onClick={() => store.set({ memoryPinned: togglePinned(pinnedText, memory.scheme) })}>{isPinned ? "Kept" : "Keep"}</button>
      <span className="spacer" />
      {zoomed && <button type="button" title="Whole timeline (0)" onClick={() => store.set({ memoryWindow: null })}>Whole</button>}
      <label className="field" title="Segments and blocks of the allocator at the cursor (B)"><input type="checkbox" checked={blocks} onChange={(event) => store.set({ memoryBlocks: event.target.checked })} /> Allocator</label>
    </div>
  );
}

function AddScheme({ pinned, scheme, pinnedText }: { pinned: readonly string[]; scheme: string; pinnedText: string }) {
  const store = useStore(), free = SCHEMES.filter(({ text }) => text !== scheme && !pinned.includes(text));
  if (pinned.length >= PINNED_SCHEMES || free.length === 0) return null;
  return (
    <select className="add" aria-label="Compare with another scheme" value="add" onChange={(event) => store.set({ memoryPinned: togglePinned(pinnedText, event.target.value) })}>
      <option value="add" disabled>+</option>
      {free.map(({ text, name }) => <option key={text} value={text}>{name}</option>)}
    </select>
  );
}
