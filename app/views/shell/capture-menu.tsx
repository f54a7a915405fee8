import { useEffect, useRef, useState } from "react";
import { useActionContext } from "../../actions/context.ts";
import type { CaptureSession } from "../../lib/capture-session.ts";

/** The open capture's name; under it the server's captures and the ways to open another. */
export function CaptureMenu({ session }: { session: CaptureSession }) {
  const context = useActionContext();
  const [shown, setShown] = useState(false);
  const menu = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!shown) return;
    const close = (event: Event): void => {
      if (!(event.target instanceof Node && menu.current?.contains(event.target) === true)) setShown(false);
    };
    addEventListener("pointerdown", close);
    return () => removeEventListener("pointerdown", close);
  }, [shown]);
  const capture = session.loaded.value;
  const pick = (run: () => void) => (): void => {
    setShown(false);
    run();
  };
  const current = session.origin?.kind === "url" ? session.origin.url : null;
  return (
    <div className="menu" ref={menu} onKeyDown={(event) => event.key === "Escape" && setShown(false)}>
      <button type="button" className="plain capture-name" aria-haspopup="menu" aria-expanded={shown} onClick={() => setShown(!shown)} title={capture?.label ?? session.name}>
        <span>{capture?.manifest.prompt.name ?? (session.name === "" ? "Open" : session.name)}</span> <span aria-hidden="true">▾</span>
      </button>
      {shown && (
        <div className="menu-list" role="menu">
          {(session.listed ?? []).map(({ label, url }) => (
            <button key={url} type="button" role="menuitem" aria-current={url === current ? "true" : undefined} onClick={pick(() => session.open({ kind: "url", url }))}>{label}</button>
          ))}
          {(session.listed ?? []).length > 0 && <hr />}
          <button type="button" role="menuitem" onClick={pick(context.pickFolder)}>Open folder…</button>
          <button type="button" role="menuitem" onClick={pick(context.pickZip)}>Open .zip…</button>
          <button type="button" role="menuitem" onClick={pick(context.pickTimings)}>Open timings…</button>
          <p>Or drop any of them anywhere. Files stay in this browser.</p>
        </div>
      )}
    </div>
  );
}
