#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { addCapture } from "./commands/capture.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addEval } from "./commands/eval.ts";
import { addImportBundle } from "./commands/import-bundle.ts";
import { addInspect } from "./commands/inspect.ts";
import { addMemory } from "./commands/memory.ts";
import { addPlan } from "./commands/plan.ts";
import { addRun } from "./commands/run.ts";
import { addTransfer } from "./commands/transfer.ts";
import { addTasks } from "./commands/tasks.ts";
import { addTime } from "./commands/time.ts";
import { addView } from "./commands/view.ts";
import { describeFailure } from "./lib/failure.ts";
import { printJson } from "./lib/output.ts";
import { SOFTWARE_VERSION } from "./lib/software.ts";

const program = new Command("attnscope")
  .description("Capture, inspect and view the attention of long-context language models.")
  .version(SOFTWARE_VERSION)
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(`attnscope: E_OPTION: ${text.replace(/^error: /, "")}`) })
  .showHelpAfterError("(--help lists the options)");

addCapture(program);
addPlan(program);
addMemory(program);
addInspect(program);
addEval(program);
addTransfer(program);
addRun(program);
addTasks(program);
addTime(program);
addImportBundle(program);
addView(program);
addDoctor(program);
for (const command of program.commands) command.exitOverride().copyInheritedSettings(program);

async function main(): Promise<void> {
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version were asked for; everything else has already been explained.
      process.exitCode = error.exitCode === 0 ? 0 : 1;
      if (error.exitCode !== 0 && process.argv.includes("--json")) printJson({ event: "error", code: "E_OPTION", message: error.message.replace(/^error: /, "") });
      return;
    }
    report(error);
  }
}

function report(error: unknown): void {
  const failure = describeFailure(error);
  if (process.argv.includes("--json")) printJson({ event: "error", code: failure.code, message: failure.message });
  process.stderr.write(`attnscope: ${failure.code}: ${failure.message}\n`);
  if (failure.exitStatus === 2 && failure.cause instanceof Error) process.stderr.write(`${failure.cause.stack ?? ""}\nThis is a fault of attnscope; please report it with the lines above.\n`);
  process.exitCode = failure.exitStatus;
}

// A closed pipe (attnscope ... | head) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

await main();
