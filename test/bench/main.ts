import { benchCapture, measure } from "./capture.ts";
import { benchKernels } from "./kernels.ts";
import { benchSlider } from "./slider.ts";
import { benchSweep } from "./sweep.ts";

const PLACES = ["chromium", "node", "processor"] as const;

// No argument: everything. "slider [chromium|node|processor]", "sweep", "kernels", or the token counts of the capture alone: "4096,8192".
const [mode, folder, tokens, reduce] = process.argv.slice(2);
if (mode === "measure") console.log(JSON.stringify(await measure(folder ?? "", Number(tokens), reduce === "true")));
else if (mode === "slider") await benchSlider(PLACES.find((place) => place === folder) ?? "any");
else if (mode === "sweep") await benchSweep();
else if (mode === "kernels") await benchKernels();
else {
  await benchCapture(mode ? mode.split(",").map(Number) : [4096, 8192, 16_384, 32_768]);
  if (mode === undefined) {
    await benchSlider("any");
    await benchSweep();
    await benchKernels();
  }
}
