import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import packageJson from "./package.json" with { type: "json" };

const define = { __APP_VERSION__: JSON.stringify(packageJson.version) };

/** `unit` needs the add-on and the WebAssembly build; `browser` also the built app and command line. */
export default defineConfig({
  plugins: [react()],
  define,
  test: {
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      { extends: true, test: { name: "unit", include: ["test/**/*.test.{ts,tsx}"], exclude: ["test/browser/**"] } },
      { extends: true, test: { name: "browser", include: ["test/browser/**/*.test.ts"], fileParallelism: false } },
    ],
  },
});
