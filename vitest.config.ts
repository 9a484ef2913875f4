import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/{vectors,unit,property,scenario,sim}/**/*.test.ts"],
    testTimeout: 30_000,
    // A second is little where other programs have the processors.
    expect: { poll: { timeout: 20_000 } },
    pool: "threads",
    maxWorkers: availableParallelism(),
  },
});
