import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { userError } from "../lib/failure.ts";
import { LOCK_FILE } from "../run/output-lock.ts";

/** Whether `folder` holds results, whose mark is the file `marker`. Refuses a folder that holds something else. */
export function holdsResults(folder: string, marker: string): boolean {
  if (!existsSync(folder)) return false;
  if (statSync(folder).isDirectory()) {
    if (existsSync(join(folder, marker))) return true;
    if (readdirSync(folder).every((name) => name === LOCK_FILE)) return false;
  }
  throw userError("E_RESULTS_OUTPUT", `${folder} exists and holds no ${marker} of this command, so nothing in it is touched; choose another folder with --out.`);
}
