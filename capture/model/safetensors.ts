import { open, stat } from "node:fs/promises";
import { userError } from "../lib/failure.ts";
import { decodeUtf8, parseJson } from "../lib/json-file.ts";
import { duplicateKey } from "./json-keys.ts";

/** Longest header safetensors itself accepts. */
const MAX_HEADER_BYTES = 100_000_000;

/** Bytes an element of each dtype of the format; those the engine reads are F32, F16 and BF16. */
const DTYPE_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1, U8: 1, I8: 1, F8_E5M2: 1, F8_E4M3: 1, U16: 2, I16: 2, F16: 2, BF16: 2, U32: 4, I32: 4, F32: 4, U64: 8, I64: 8, F64: 8,
};

export interface TensorEntry {
  name: string;
  /** As spelt in the file: "BF16". */
  dtype: string;
  shape: number[];
  /** From the start of the file. */
  offset: number;
  bytes: number;
}

export interface SafetensorsFile {
  path: string;
  fileBytes: number;
  /** Raw header, for the model's hash. */
  header: Uint8Array;
  tensors: TensorEntry[];
}

/** Reads and checks the header of one file; the data itself is not read. */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsFile> {
  const fileBytes = (await stat(path)).size;
  const broken = (what: string): never => {
    throw userError("E_MODEL_HEADER", `${path}: ${what}; the file is damaged, fetch it again.`);
  };
  const truncated = (what: string): never => {
    throw userError("E_MODEL_TRUNCATED", `${path}: ${what}; the file is cut short, fetch it again.`);
  };
  const file = await open(path, "r");
  try {
    const prefix = new Uint8Array(8);
    if (fileBytes < 8 || (await file.read(prefix, 0, 8, 0)).bytesRead < 8) truncated(`${fileBytes} bytes hold no safetensors header`);
    const declared = new DataView(prefix.buffer).getBigUint64(0, true);
    if (declared < 2n || declared > BigInt(MAX_HEADER_BYTES)) broken(`its header claims ${declared} bytes (2 to ${MAX_HEADER_BYTES} are possible)`);
    const headerBytes = Number(declared);
    if (8 + headerBytes > fileBytes) truncated(`its header needs ${headerBytes} bytes and the file has ${fileBytes}`);
    const header = new Uint8Array(headerBytes);
    if ((await file.read(header, 0, headerBytes, 8)).bytesRead < headerBytes) truncated("its header cannot be read whole");
    return { path, fileBytes, header, tensors: parseHeader(header, path, fileBytes, broken, truncated) };
  } finally {
    await file.close();
  }
}

function parseHeader(header: Uint8Array, path: string, fileBytes: number, broken: (what: string) => never, truncated: (what: string) => never): TensorEntry[] {
  const text = decodeUtf8(header, path, "E_MODEL_HEADER");
  if (!text.startsWith("{")) broken("its header does not begin with {");
  const object = parseJson(text.trimEnd(), path, "E_MODEL_HEADER") as Record<string, unknown>;
  const twice = duplicateKey(text);
  if (twice !== undefined) broken(`its header names tensor ${JSON.stringify(twice)} twice`);
  const dataStart = 8 + header.length;
  const tensors = Object.entries(object).filter(([name]) => name !== "__metadata__").map(([name, value]) => parseEntry(name, value, dataStart, broken));
  let end = dataStart;
  for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (tensor.offset < end) broken(`the data of tensor ${tensor.name} overlaps that of another`);
    if (tensor.offset > end) broken(`${tensor.offset - end} bytes before tensor ${tensor.name} belong to none`);
    end = tensor.offset + tensor.bytes;
  }
  if (end > fileBytes) truncated(`its tensors need ${end} bytes and the file has ${fileBytes}`);
  if (end < fileBytes) broken(`${fileBytes - end} bytes follow its last tensor`);
  return tensors;
}

const isCount = (x: unknown): x is number => typeof x === "number" && Number.isSafeInteger(x) && x >= 0;

function parseEntry(name: string, value: unknown, dataStart: number, broken: (what: string) => never): TensorEntry {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  if (typeof dtype !== "string") return broken(`tensor ${name} has no dtype`);
  const width = DTYPE_BYTES[dtype];
  if (width === undefined) return broken(`tensor ${name} has dtype ${JSON.stringify(dtype)}, which safetensors does not define`);
  if (!Array.isArray(shape) || !shape.every(isCount)) return broken(`the shape of tensor ${name} is no list of counts`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) return broken(`data_offsets of tensor ${name} are no pair of byte positions`);
  const [begin, end] = offsets as [number, number];
  if (end < begin) return broken(`data_offsets of tensor ${name} end before they begin`);
  const expected = shape.reduce<number>((product, extent) => product * extent, width);
  if (expected !== end - begin) return broken(`tensor ${name} of shape [${shape.join(", ")}] and dtype ${dtype} needs ${expected} bytes and has ${end - begin}`);
  return { name, dtype, shape, offset: dataStart + begin, bytes: end - begin };
}
