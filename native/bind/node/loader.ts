import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { NativeError } from "../../engine.ts";
import type { MemoryEngine, NodeEngine, PolicyCatalogue } from "../../engine.ts";
import { MemoryModel } from "../memory.ts";
import type { MemoryQuestion } from "../memory.ts";
import { checkLengths, packPoints, packShape, unpackCounts, unpackCurve, unpackPrediction, unpackWork } from "../timing.ts";
import type { Addon } from "./addon-surface.ts";
import { startCapture } from "./capture-job.ts";
import { openReplay } from "./head-replay.ts";
import { translated } from "./native-error.ts";
import { startPolicyRun } from "./policy-run-job.ts";
import { probe, probeDevice } from "./probe.ts";
import { startTimings } from "./timing-job.ts";

const ADDON = "build/Release/attnscope.node";

let loaded: Promise<NodeEngine> | undefined;

/**
 * The engine as a Node add-on, probed in a child process before its first load. Rejects with NativeError:
 * E_ENGINE_MISSING (not built, or not loadable), E_ENGINE_CRASHED (it would have taken this process down).
 */
export function loadEngine(): Promise<NodeEngine> {
  loaded ??= loadEngineFrom(path.join(packageRoot(), ADDON));
  return loaded;
}

/** The same for an add-on at a given path; not cached. */
export async function loadEngineFrom(addonPath: string): Promise<NodeEngine> {
  if (!existsSync(addonPath))
    throw new NativeError("E_ENGINE_MISSING", `${addonPath} is not there; build it with \`npm run build\` (needs a C++20 compiler and CMake >= 3.20)`);
  await probe(addonPath);
  return engineOf(createRequire(import.meta.url)(addonPath) as Addon, addonPath);
}

function engineOf(addon: Addon, addonPath: string): NodeEngine {
  let catalogue: PolicyCatalogue | undefined;
  const memory = new MemoryModel(translated(({ name, implementation, policy, config, kept, options }: MemoryQuestion) => addon.memoryAsk(name, implementation, policy, config, kept, options)));
  const rest: Omit<NodeEngine, keyof MemoryEngine> = {
    kind: "node",
    info: translated(() => addon.info()),
    tile: translated((grid, scale, window) => {
      const job = new addon.TileJob(grid, scale, window);
      return {
        add: translated((queries, keys, lse) => job.add(queries, keys, lse)),
        finish: translated(() => job.finish()),
        free: () => job.free(),
      };
    }),
    mergeTiles: translated((a, b) => addon.mergeTiles(a, b)),
    tileCounts: translated((grid, rowBegin, rowEnd, window) => addon.tileCounts(grid, rowBegin, rowEnd, window)),
    attentionValue: translated((dtype, q, k, scale, lse) => addon.attentionValue(dtype, q, k, scale, lse)),
    toFloat32: translated((dtype, data) => addon.toFloat32(dtype, data)),
    describePolicies: translated(() => (catalogue ??= JSON.parse(addon.describePolicies()) as PolicyCatalogue)),
    parsePolicy: translated((text) => addon.parsePolicy(text)),
    scaledPreset: translated((id, preset, tokens) => addon.scaledPreset(id, preset, tokens)),
    timingCurve: translated((points) => unpackCurve(addon.timingCurve(packPoints(points)))),
    timingPredict: translated((points, work, columnWork) => unpackPrediction(addon.timingPredict(packPoints(points), work, columnWork))),
    kernelWork: translated((shape) => {
      const { numbers, unit } = addon.kernelWork(shape.op, shape.phase, packShape(shape));
      return unpackWork(numbers, unit);
    }),
    roofline: translated((work, peakFlops, bytesPerSecond) => addon.roofline(work.leastFlops, work.leastBytes, peakFlops, bytesPerSecond)),
    timingAtLength: translated((points, lengths, tokens) => {
      checkLengths(points, lengths);
      return unpackPrediction(addon.timingAtLength(packPoints(points), lengths, tokens));
    }),
    kernelCounts: translated((policy, op, tokens) => unpackCounts(addon.kernelCounts(policy, op, tokens))),
    workRatio: translated((known, wanted) => addon.workRatio(known.flops, known.bytes, wanted.flops, wanted.bytes)),
    compiledDim: translated((headDim) => addon.compiledDim(headDim)),
    replay: (shape) => openReplay(addon, shape),
    deviceNeeds: translated((plan, availableBytes) => addon.deviceNeeds(plan, availableBytes)),
    probeDevice: (name) => probeDevice(addonPath, name),
    capture: (plan, sink) => startCapture(addon, plan, sink),
    runPolicy: (plan, onProgress) => startPolicyRun(addon, plan, onProgress),
    timingOptions: translated(() => addon.timingOptions()),
    time: (plan, sink) => startTimings(addon, plan, sink),
  };
  return Object.assign(memory, rest);
}

/** The folder of attnscope's own package.json above this file, which may be bundled into dist/. */
function packageRoot(): string {
  for (let folder = path.dirname(fileURLToPath(import.meta.url)); ; folder = path.dirname(folder)) {
    const file = path.join(folder, "package.json");
    if (existsSync(file) && (JSON.parse(readFileSync(file, "utf8")) as { name?: string }).name === "attnscope") return folder;
    if (folder === path.dirname(folder))
      throw new NativeError("E_ENGINE_MISSING", "no package.json of attnscope above the program; run it from its own checkout or package");
  }
}
