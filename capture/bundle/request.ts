import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { z } from "zod";
import { describeFailure, userError } from "../lib/failure.ts";
import { describeIssue, parseJson } from "../lib/json-file.ts";
import { prepareRun } from "../run/prepare.ts";
import type { PreparedRun, RunOptions } from "../run/prepare.ts";
import { NodeStore } from "../store/node-store.ts";
import { planText } from "./plan-file.ts";

/** Files of a folder that `attnscope capture --export` writes. */
export const PLAN_FILE = "plan.txt";
export const REQUEST_FILE = "request.json";
const REQUEST = "attnscope-capture-request";
const REQUEST_VERSION = 1;

const digest = z.string().length(64);
const whole = z.number().int().nonnegative();

/** What the command line was asked for, and what it made of it: enough to make the same plan again where a bundle is imported. */
const requestSchema = z.object({
  format: z.literal(REQUEST), version: z.literal(REQUEST_VERSION),
  software: z.object({ name: z.string(), version: z.string() }),
  options: z.object({
    model: z.string(), prompt: z.string(), context: whole.optional(), decode: whole.optional(), force: z.string().optional(), threads: whole,
    level: z.enum(["overview", "replay", "full"]), heads: z.string().optional(), vectors: z.enum(["f32", "f16", "bf16"]),
    cell: z.union([z.literal("auto"), whole]), logits: z.boolean(), tileEdge: whole,
    device: z.object({ name: z.string(), weights: z.enum(["auto", "resident", "streamed"]), memoryBytes: whole }).optional(),
  }),
  /** As the plan names them. */
  files: z.array(z.string()),
  /** SHA-256 of the plan file, of what identifies the model (as in a manifest), of the tokenizer, of the prompt's ids as little-endian 32-bit numbers. */
  plan: digest,
  model: z.object({ name: z.string(), sha256: digest }), tokenizer: z.object({ sha256: digest }), prompt: z.object({ name: z.string(), sha256: digest }),
});
export type CaptureRequest = z.infer<typeof requestSchema>;

const sha256 = (bytes: string | Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const idsOf = ({ plan: { tokens } }: PreparedRun): string => sha256(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength));

/** Whether --force names a file, and not a part of the prompt. */
const isFile = (force: string | undefined): force is string => force !== undefined && force !== "answer" && force !== "continuation";

/** Writes a run as files for attnscope-run. `weights`: the folder of the weights where it will run; undefined: where they are now, seen from the export. */
export function exportRun(folder: string, prepared: PreparedRun, options: RunOptions, { version, weights }: { version: string; weights: string | undefined }): CaptureRequest {
  if (existsSync(folder) && readdirSync(folder).length > 0) throw userError("E_RESULTS_OUTPUT", `${folder} already holds files, and nothing in it is touched; choose another folder with --export.`);
  const { checkpoint, tokenizer, prompt, plan } = prepared;
  const files = plan.files.map((file) => (weights === undefined ? relative(folder, resolve(file)) : `${weights.replace(/\/+$/, "")}/${basename(file)}`));
  const broken = files.find((file) => /[\r\n]/.test(file));
  if (broken !== undefined) throw userError("E_OPTION", `${JSON.stringify(broken)} has a line break in its name, which a plan file cannot hold; rename it.`);
  const text = planText(plan, files);
  const request: CaptureRequest = {
    format: REQUEST, version: REQUEST_VERSION, software: { name: "attnscope", version },
    options: JSON.parse(JSON.stringify({
      ...options, model: resolve(options.model), prompt: resolve(options.prompt), force: isFile(options.force) ? resolve(options.force) : options.force, threads: plan.threads,
    })) as CaptureRequest["options"],
    files, plan: sha256(text), model: { name: checkpoint.name, sha256: checkpoint.sha256 }, tokenizer: { sha256: tokenizer.sha256 }, prompt: { name: prompt.name, sha256: idsOf(prepared) },
  };
  const store = new NodeStore(folder);
  writeAll(store, { [PLAN_FILE]: text, [REQUEST_FILE]: `${JSON.stringify(request, null, 1)}\n` });
  return request;
}

/** Both files or none: after a full disk the same command can be given again. */
function writeAll(store: NodeStore, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    try {
      store.writeText(name, text);
    } catch (error) {
      for (const written of Object.keys(files)) for (const path of [written, `${written}.part`]) store.remove(path);
      throw writeFailure(`${name} in ${store.label}`, error);
    }
  }
}

function writeFailure(what: string, error: unknown): unknown {
  const { code } = describeFailure(error);
  if (code === "E_DISK_FULL") return userError(code, `The disk is full: ${what} could not be written; free some space or choose another --export.`, error);
  return error;
}

/** The request that a bundle brought along. */
export function readRequest(bundle: string): CaptureRequest {
  const path = join(bundle, REQUEST_FILE);
  if (!existsSync(path)) throw userError("E_BUNDLE_REQUEST", `${bundle} has no ${REQUEST_FILE}, so what its run was asked for is not known; copy it there from the folder that attnscope capture --export wrote.`);
  const value = parseJson(readFileSync(path, "utf8"), path, "E_BUNDLE_REQUEST");
  const parsed = requestSchema.safeParse(value);
  if (!parsed.success) throw userError("E_BUNDLE_REQUEST", `${path}: ${describeIssue(parsed.error)}; copy it again from the folder that attnscope capture --export wrote, and import with that version of attnscope.`);
  return parsed.data;
}

/** Where model, prompt and forced text lie here, if not where they lay when the run was exported. */
export interface Moved { model?: string; prompt?: string; force?: string }

const otherThan = (what: string, flag: string): Error => userError("E_BUNDLE_PLAN", `the bundle was made with another ${what}; name the one that was exported with ${flag}.`);

/** Prepares the run again; refuses a model, prompt or version of attnscope that makes another plan of the request. */
export async function prepareAgain(request: CaptureRequest, moved: Moved): Promise<PreparedRun> {
  const { context, decode, force, heads, device, ...options } = request.options;
  if (moved.force !== undefined && !isFile(force)) throw userError("E_OPTION", `--force names the file of a forced text, and the run that was exported ${force === undefined ? "was not forced" : `was forced along the prompt's ${force}`}; leave it out.`);
  const prepared = await prepareRun({ ...options, context, decode, force: moved.force ?? force, heads, model: moved.model ?? options.model, prompt: moved.prompt ?? options.prompt, ...(device === undefined ? {} : { device }) });
  if (prepared.checkpoint.sha256 !== request.model.sha256) throw otherThan(`model than ${prepared.checkpoint.folder} (its config.json or weights' headers differ)`, "--model");
  if (prepared.tokenizer.sha256 !== request.tokenizer.sha256) throw otherThan(`tokenizer than ${prepared.tokenizer.path}`, "--model");
  if (idsOf(prepared) !== request.prompt.sha256) throw otherThan(`prompt than ${moved.prompt ?? options.prompt}`, "--prompt");
  if (sha256(planText(prepared.plan, request.files)) !== request.plan) {
    throw userError("E_BUNDLE_PLAN", `attnscope ${request.software.version} planned this run and this attnscope plans another one from the same request; import it with that version, or check ${force === undefined ? "that request.json was not changed" : "--force"}.`);
  }
  return prepared;
}
