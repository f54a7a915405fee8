import { chordKeys } from "../../actions/chord.ts";
import type { Chord } from "../../actions/types.ts";

export function Keys({ chord }: { chord: Chord }) {
  return <span className="keys">{chordKeys(chord).map((key) => <kbd key={key}>{key}</kbd>)}</span>;
}
