import { defineConfig } from "vite";
import packageJson from "./package.json" with { type: "json" };

/** The command line: one Node module; packages stay in node_modules. */
export default defineConfig({
  define: { __APP_VERSION__: JSON.stringify(packageJson.version) },
  build: {
    ssr: "capture/main.ts",
    outDir: "dist/cli",
    emptyOutDir: true,
    target: "node20",
    minify: false,
    rolldownOptions: { output: { entryFileNames: "attnscope.js" } },
  },
});
