import { problemOf } from "../../lib/problem.ts";

/** An error where its result would have been: code, sentence, next step. */
export function ProblemPanel({ error, children }: { error: unknown; children?: React.ReactNode }) {
  const { code, sentence, next } = problemOf(error);
  return (
    <div className="problem" role="alert" data-testid="problem">
      <code>{code}</code>
      <p className="sentence">{sentence}</p>
      {next !== "" && <p>{next}</p>}
      {children}
    </div>
  );
}
