import type { Command } from "commander";
import { printJson, printLine } from "../lib/output.ts";
import { runChecks } from "../run/doctor-checks.ts";

const MARKS = { ok: "ok     ", missing: "missing", warning: "warning" } as const;

export function addDoctor(program: Command): void {
  program.command("doctor")
    .description("Check what attnscope needs on this machine: one line each, with what to do.")
    .option("--json", "as one JSON object", false)
    .action(async (flags: { json: boolean }) => {
      const checks = await runChecks();
      if (flags.json) printJson({ checks });
      else for (const { name, state, found, advice } of checks) printLine(`${MARKS[state]}  ${name.padEnd(9)}  ${found}${advice === undefined ? "" : `: ${advice}`}`);
      if (checks.some((check) => check.state === "missing")) process.exitCode = 1;
    });
}
