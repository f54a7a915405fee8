import { useActionContext } from "../../actions/context.ts";
import { useStore } from "../../state/store.ts";

/** Nothing is open and no server offered anything. */
export function StartPage() {
  const store = useStore();
  return (
    <main className="start">
      <h1>Open a capture</h1>
      <p>Drop a capture’s folder or .zip anywhere on this page. It is read in this browser; nothing is uploaded.</p>
      <OpenButtons />
      <p>Timings of kernels need no capture: <button type="button" className="link" onClick={() => store.set({ page: "timings" })}>Timings <kbd>4</kbd></button>. Nor does the memory of a request: <button type="button" className="link" onClick={() => store.set({ page: "memory" })}>Memory <kbd>5</kbd></button></p>
      <p className="quiet">Or give its address: <code>?src=https://host/captures/name</code>. To make one: <code>attnscope capture --model DIR --prompt FILE --out DIR</code>, then <code>attnscope view DIR</code>.</p>
    </main>
  );
}

export function OpenButtons() {
  const context = useActionContext();
  return (
    <p className="row">
      <button type="button" onClick={context.pickFolder}>Open folder…</button>
      <button type="button" onClick={context.pickZip}>Open .zip…</button>
    </p>
  );
}
