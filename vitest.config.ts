import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/{vectors,unit,property,scenario,sim}/**/*.test.ts"],
    testTimeout: 30_000,
    pool: "threads",
    maxWorkers: availableParallelism(),
  },
});
