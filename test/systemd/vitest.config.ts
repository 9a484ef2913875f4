import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** One file at a time: two booted machines at once are enough, and gaps are measured. */
export default defineConfig({
  test: {
    root: join(import.meta.dirname, "../.."),
    include: ["test/systemd/**/*.test.ts"],
    globalSetup: ["test/systemd/packages.ts"],
    pool: "forks",
    maxWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 600_000,
    teardownTimeout: 30_000,
  },
});
