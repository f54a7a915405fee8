/** Where a Chromium was found, or null and what to do to have one. */
export declare function findChromium(options?: { install?: boolean }): Promise<{ path: string | null; advice?: string }>;
/** Flags for headless runs. */
export declare const chromiumFlags: string[];
