import { AttnscopeError } from "../../data/errors.ts";
import { context2d } from "../marks/pixels.ts";
import type { Provenance } from "./provenance.ts";

/** Browsers refuse canvases above about 16,384 pixels a side. */
export const LARGEST_SIDE = 16_384;

export interface PngSize {
  width: number;
  height: number;
  /** Pixels an inch written into the file, for programs that place figures by physical size. */
  dpi: number;
}

/** Draws the SVG itself, so that the PNG cannot differ from it. */
export async function svgToPng(svg: string, size: PngSize, provenance: Provenance): Promise<Blob> {
  if (Math.max(size.width, size.height) > LARGEST_SIDE) {
    throw new AttnscopeError("E_FIGURE_TOO_LARGE", `The picture would be ${size.width} x ${size.height} pixels and browsers draw at most ${LARGEST_SIDE} a side: choose a smaller scale, or SVG.`);
  }
  const url = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = size.width;
    canvas.height = size.height;
    context2d(canvas).drawImage(image, 0, 0, size.width, size.height);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
    if (blob === null) throw new AttnscopeError("E_FIGURE_TOO_LARGE", `The browser could not encode ${size.width} x ${size.height} pixels: choose a smaller scale, or SVG.`);
    const bytes = withChunks(new Uint8Array(await blob.arrayBuffer()), [
      physical(size.dpi),
      chunk("tEXt", latin1(`Software\0${provenance.software}`)),
      chunk("iTXt", new TextEncoder().encode(`Comment\0\0\0\0\0${JSON.stringify(provenance)}`)),
    ]);
    return new Blob([bytes], { type: "image/png" });
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Signature (8 bytes) and header chunk (25 bytes) come first in every PNG. */
const AFTER_HEADER = 33;

export function withChunks(png: Uint8Array, chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = chunks.reduce((sum, item) => sum + item.length, png.length);
  const out = new Uint8Array(length);
  out.set(png.subarray(0, AFTER_HEADER));
  let at = AFTER_HEADER;
  for (const item of chunks) {
    out.set(item, at);
    at += item.length;
  }
  out.set(png.subarray(AFTER_HEADER), at);
  return out;
}

/** pHYs counts pixels a metre. */
export function physical(dpi: number): Uint8Array {
  const data = new Uint8Array(9);
  const perMetre = Math.round(dpi / 0.0254);
  const view = new DataView(data.buffer);
  view.setUint32(0, perMetre);
  view.setUint32(4, perMetre);
  data[8] = 1;
  return chunk("pHYs", data);
}

export function chunk(type: string, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(data.length + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  out.set(latin1(type), 4);
  out.set(data, 8);
  view.setUint32(data.length + 8, crc32(out.subarray(4, data.length + 8)));
  return out;
}

const latin1 = (value: string): Uint8Array => Uint8Array.from(value, (character) => character.charCodeAt(0) & 255);

/** CRC-32 as PNG wants it (ISO 3309). */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
