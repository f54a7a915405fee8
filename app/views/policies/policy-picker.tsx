import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import type { PolicyCatalogue, PolicyDescriptor } from "../../../native/engine.ts";
import { FAMILIES } from "../../policies/labels.ts";

/** Every policy, grouped by family, with what it keeps in a line. */
export function PolicyPicker({ catalogue, current, onPick, children }: {
  catalogue: PolicyCatalogue;
  /** Id of the row's policy; "" where it is empty. */
  current: string;
  onPick: (policy: PolicyDescriptor) => void;
  children: React.ReactNode;
}) {
  const [shown, setShown] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!shown) return;
    const close = (event: Event): void => {
      if (!(event.target instanceof Node && root.current?.contains(event.target) === true)) setShown(false);
    };
    addEventListener("pointerdown", close);
    root.current?.querySelector<HTMLElement>("[aria-selected=true], [role=option]")?.focus();
    return () => removeEventListener("pointerdown", close);
  }, [shown]);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (!shown) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      setShown(false);
      root.current?.querySelector("button")?.focus();
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const options = [...(root.current?.querySelectorAll<HTMLElement>("[role=option]") ?? [])];
    options[(options.indexOf(document.activeElement as HTMLElement) + step + options.length) % options.length]?.focus();
  };
  return (
    <div className="picker" ref={root} onKeyDown={onKeyDown}>
      <button type="button" className="plain picker-button" aria-haspopup="listbox" aria-expanded={shown} onClick={() => setShown(!shown)}>{children}</button>
      {shown && (
        <div className="picker-list" role="listbox" aria-label="Policies">
          <PolicyOptions catalogue={catalogue} current={current} onPick={(policy) => {
            setShown(false);
            onPick(policy);
          }} />
        </div>
      )}
    </div>
  );
}

export function PolicyOptions({ catalogue, current, onPick }: { catalogue: PolicyCatalogue; current: string; onPick: (policy: PolicyDescriptor) => void }) {
  return FAMILIES.map(({ id, title }) => {
    const policies = catalogue.policies.filter(({ family }) => family === id);
    return policies.length > 0 && (
      <section key={id} role="group" aria-label={title}>
        <h3>{title}</h3>
        {policies.map((policy) => (
          <button key={policy.id} type="button" role="option" aria-selected={policy.id === current} onClick={() => onPick(policy)} title={`${policy.doc}\n${policy.source}`}>
            <b>{policy.id}</b>{policy.yardstick && <span className="tag">yardstick</span>}
            <span className="doc">{policy.doc}</span>
          </button>
        ))}
      </section>
    );
  });
}
