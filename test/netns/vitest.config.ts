import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** Two files at a time: most of a test is waiting. Nothing here measures speed. */
export default defineConfig({
  test: {
    root: join(import.meta.dirname, "../.."),
    include: ["test/netns/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
  },
});
