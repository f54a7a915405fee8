/** Results go to stdout, remarks to stderr; with --json stdout holds one JSON object a line. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printRemarks(remarks: readonly string[], json: boolean): void {
  for (const remark of remarks) {
    if (json) printJson({ event: "warning", message: remark });
    else process.stderr.write(`attnscope: ${remark}\n`);
  }
}
