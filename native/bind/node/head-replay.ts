import type { NodeHeadReplay, ReplayShape } from "../../engine.ts";
import type { Addon } from "./addon-surface.ts";
import { asNativeError, translated } from "./native-error.ts";

/** A head of the add-on whose errors arrive as NativeError. */
export function openReplay(addon: Addon, shape: ReplayShape): NodeHeadReplay {
  const head = translated(() => new addon.HeadReplay(shape))();
  return {
    keys: translated((block) => head.keys(block)),
    values: translated((block) => head.values(block)),
    queries: translated((dtype, data, positions, lse) => head.queries(dtype, data, positions, lse)),
    pooledQueries: translated((rows) => head.pooledQueries(rows)),
    classes: translated((tokenClass) => head.classes(tokenClass)),
    needles: translated((spans) => head.needles(spans)),
    rows: translated((positions) => head.rows(positions)),
    strip: translated((count) => head.strip(count)),
    run: translated((policy, options) => head.run(policy, options)),
    complete: translated((parts) => head.complete(parts)),
    mask: translated((grid) => head.mask(grid)),
    keyFate: translated(() => head.keyFate()),
    rowFate: translated(() => head.rowFate()),
    rowSpans: translated((row) => head.rowSpans(row)),
    cosines: translated((...about) => head.cosines(...about)),
    planIndices: translated(() => head.planIndices()),
    runIndices: translated((policy, indices, options) => head.runIndices(policy, indices, options)),
    get bytes() { return head.bytes(); },
    free: () => head.free(),
    stripAll: settled(() => head.stripAll()),
    sweep: settled((points, threads, onProgress) => head.sweep(points, threads, onProgress)),
  };
}

/** Refusals before the work begins reject like those after it. */
function settled<A extends unknown[], R>(call: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
  return async (...args) => {
    try {
      return await call(...args);
    } catch (error) {
      throw asNativeError(error);
    }
  };
}
