import { benchCapture, measure } from "./capture.ts";

const [mode, folder, tokens, reduce] = process.argv.slice(2);
if (mode === "measure") console.log(JSON.stringify(await measure(folder ?? "", Number(tokens), reduce === "true")));
else await benchCapture(mode ? mode.split(",").map(Number) : [4096, 8192, 16_384, 32_768]);
