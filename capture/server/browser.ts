import { spawn } from "node:child_process";

/** Command that opens a URL on this desktop, or null where there is none to open it on. */
export function browserCommand(url: string, platform: NodeJS.Platform, environment: NodeJS.ProcessEnv): [string, string[]] | null {
  if (platform === "darwin") return ["open", [url]];
  if (platform === "win32") return ["cmd", ["/c", "start", "", url.replaceAll("&", "^&")]];
  const display = environment.DISPLAY ?? environment.WAYLAND_DISPLAY ?? "";
  return display === "" ? null : ["xdg-open", [url]];
}

/** Opens the URL if it can; a missing opener is no error, because the URL is printed anyway. */
export function openBrowser(url: string): Promise<boolean> {
  const command = browserCommand(url, process.platform, process.env);
  if (command === null) return Promise.resolve(false);
  return new Promise((resolve) => {
    const child = spawn(command[0], command[1], { stdio: "ignore", detached: true });
    child.once("error", () => resolve(false));
    child.once("spawn", () => {
      child.unref();
      resolve(true);
    });
  });
}
