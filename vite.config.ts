import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import packageJson from "./package.json" with { type: "json" };

/** The viewer: static files that run from any host, a sub-folder included. */
export default defineConfig({
  root: "app",
  base: "./",
  plugins: [react()],
  define: { __APP_VERSION__: JSON.stringify(packageJson.version) },
  worker: { format: "es" },
  build: { outDir: "../dist/app", emptyOutDir: true, target: "es2022", assetsInlineLimit: 0 },
});
