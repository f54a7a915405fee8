// Recomputes what was published about memory with the engine's own model: node scripts/published-memory.mjs -> docs/results/memory.md
import { writeOutput } from "./lib.mjs";

await writeOutput("published_memory", "docs/results/memory.md");
