import { GIB, MIB } from "./devices.ts";

/** "37.0 GiB", "512 MiB", "8.13 MiB", "13.2 KiB": three digits. */
export function bytesText(bytes: number): string {
  if (!Number.isFinite(bytes)) return "–";
  const [value, unit] = bytes >= 0.9995 * GIB ? [bytes / GIB, "GiB"] : bytes >= 0.9995 * MIB ? [bytes / MIB, "MiB"] : bytes >= 1024 ? [bytes / 1024, "KiB"] : [bytes, "B"];
  return `${bytes < 1024 ? Math.round(value) : value >= 999.5 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(3)} ${unit}`;
}

/** Tokens in thousands, as the field states contexts: "155K", "1.05M". */
export function contextText(tokens: number): string {
  if (tokens >= 1e6) return `${(tokens / 1e6).toPrecision(3)}M`;
  return tokens >= 1000 ? `${tokens >= 99_950 ? Math.round(tokens / 1000) : (tokens / 1000).toFixed(tokens % 1000 === 0 ? 0 : 1)}K` : String(tokens);
}

export const exactBytes = (bytes: number): string => `${Math.round(bytes).toLocaleString("en-US")} bytes`;

export const shareText = (part: number, all: number): string => (all > 0 ? part / all < 0.0005 ? "< 0.1 %" : `${((100 * part) / all).toFixed(part / all < 0.0995 ? 1 : 0)} %` : "–");
