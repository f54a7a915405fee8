import { originOfPickedFolder, type CaptureOrigin } from "./open-capture.ts";

/** Asks for a folder with the browser's own dialog. Nothing happens if it is cancelled. */
export function pickFolder(open: (origin: CaptureOrigin) => void): void {
  pick((input) => {
    input.webkitdirectory = true;
  }, (files) => open(originOfPickedFolder(files)));
}

export function pickZip(open: (origin: CaptureOrigin) => void): void {
  pick((input) => {
    input.accept = ".zip,application/zip";
  }, (files) => {
    const [file] = files;
    if (file !== undefined) open({ kind: "zip", file });
  });
}

/** Tables of timings, one or several. */
export function pickTimings(open: (files: readonly File[]) => void): void {
  pick((input) => {
    input.accept = ".arrow";
    input.multiple = true;
  }, (files) => open([...files]));
}

function pick(prepare: (input: HTMLInputElement) => void, chosen: (files: FileList) => void): void {
  const input = document.createElement("input");
  input.type = "file";
  prepare(input);
  input.addEventListener("change", () => {
    if (input.files !== null && input.files.length > 0) chosen(input.files);
  });
  input.click();
}
