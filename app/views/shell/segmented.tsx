import { useId } from "react";

export interface SegmentOption<T extends string> {
  value: T;
  label: string;
  title?: string;
}

/** A few exclusive choices side by side; radio buttons underneath, so arrow keys and screen readers work by themselves. */
export function Segmented<T extends string>({ label, hideLabel = false, value, options, onChange }: {
  label: string;
  /** The options speak for themselves; the label stays for screen readers. */
  hideLabel?: boolean;
  value: T;
  options: readonly SegmentOption<T>[];
  onChange: (value: T) => void;
}) {
  const name = useId();
  return (
    <div className="field" role="radiogroup" aria-label={label}>
      {!hideLabel && <span aria-hidden="true">{label}</span>}
      <span className="segmented">
        {options.map((option) => (
          <label key={option.value} title={option.title}>
            <input type="radio" name={name} value={option.value} checked={option.value === value} onChange={() => onChange(option.value)} />
            <span>{option.label}</span>
          </label>
        ))}
      </span>
    </div>
  );
}
