/** Half-open byte range of a file. */
export interface ByteRange { begin: number; end: number }

/**
 * Reads a Range header (RFC 9110, section 14) against a file of `size` bytes. "whole" stands for headers that a server
 * may ignore: absent, malformed, another unit, or several ranges at once.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | "whole" | "unsatisfiable" {
  const match = header === undefined ? null : /^bytes=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header);
  if (match === null) return "whole";
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return "whole";
  if (first === "") {
    const suffix = Number(last);
    if (suffix === 0 || size === 0) return "unsatisfiable";
    return { begin: Math.max(0, size - suffix), end: size };
  }
  const begin = Number(first);
  if (last !== "" && Number(last) < begin) return "whole";
  if (begin >= size) return "unsatisfiable";
  return { begin, end: last === "" ? size : Math.min(size, Number(last) + 1) };
}
