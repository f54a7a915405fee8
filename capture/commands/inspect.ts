import { resolve } from "node:path";
import type { Command } from "commander";
import { openCapture } from "../../data/reader/capture.ts";
import { validateCapture } from "../../data/reader/validate.ts";
import { printJson, printLine } from "../lib/output.ts";
import { NodeFolder } from "../store/node-folder.ts";

export function addInspect(program: Command): void {
  void [resolve, openCapture, validateCapture, printJson, printLine, NodeFolder, program];
}
