import type { PresetTexts } from "../../policies/protocol.ts";
import { count } from "../../lib/format.ts";

/** Published settings and their forms for this prompt's length; "custom" once a parameter was moved. */
export function PresetSelect({ presets, text, promptTokens, onPick }: {
  presets: readonly PresetTexts[];
  text: string;
  promptTokens: number;
  onPick: (text: string) => void;
}) {
  const scaled = presets.filter((preset) => preset.scaled !== null);
  const value = presets.some(({ published }) => published.text === text) || scaled.some((preset) => preset.scaled?.text === text) ? text : "custom";
  const source = presets.find((preset) => preset.published.text === text || preset.scaled?.text === text)?.source;
  return (
    <label className="field preset" title={source}>
      <span>Preset</span>
      <select value={value} onChange={(event) => onPick(event.target.value)}>
        {value === "custom" && <option value="custom" disabled>custom</option>}
        {scaled.length > 0 && (
          <optgroup label={`Scaled to ${count(promptTokens)} tokens`}>
            {scaled.map(({ name, scaled: form }) => <option key={name} value={form?.text}>{name}, scaled to {count(promptTokens)}</option>)}
          </optgroup>
        )}
        <optgroup label="As published">
          {presets.map(({ name, published }) => <option key={name} value={published.text}>{name}</option>)}
        </optgroup>
      </select>
    </label>
  );
}
