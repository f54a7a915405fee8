import { z } from "zod";

/** What "attnscope view" serves beside the viewer: the captures it was told to show. */
const listSchema = z.array(z.object({ label: z.string().min(1), url: z.string().min(1) }));

export interface ListedCapture {
  label: string;
  /** Folder or .zip, relative to the viewer. */
  url: string;
}

/** The captures of the local server; none on a static host, which answers anything but this list. */
export async function listCaptures(signal?: AbortSignal): Promise<ListedCapture[]> {
  try {
    const response = await fetch(new URL("captures.json", document.baseURI), signal === undefined ? {} : { signal });
    if (!response.ok || !(response.headers.get("content-type") ?? "").includes("json")) return [];
    const parsed = listSchema.safeParse(await response.json());
    return parsed.success ? parsed.data : [];
  } catch {
    // No server behind these files (opened from a static host or offline): captures are then dropped, picked or linked.
    return [];
  }
}
