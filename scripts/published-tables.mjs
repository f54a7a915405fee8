// Recomputes the published tables with the engine's own code: node scripts/published-tables.mjs -> docs/results/published-tables.md
import { writeOutput } from "./lib.mjs";

await writeOutput("published_tables", "docs/results/published-tables.md");
