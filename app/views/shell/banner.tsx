import type { ShownProblem } from "../../lib/window-problems.ts";

/** Things that went wrong without stopping the work: a link that could not be followed in full. */
export function Banner({ problems, onClose }: { problems: readonly ShownProblem[]; onClose: () => void }) {
  if (problems.length === 0) return null;
  return (
    <div className="banner" role="status" data-testid="banner">
      <ul>{problems.map(({ code, message }) => <li key={message}><code>{code}</code> {message}</li>)}</ul>
      <button type="button" className="plain" onClick={onClose}>Close</button>
    </div>
  );
}
