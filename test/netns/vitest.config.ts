import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** One file after another: they share two processors, and each measures what it sees on the wire. */
export default defineConfig({
  test: {
    root: join(import.meta.dirname, "../.."),
    include: ["test/netns/**/*.test.ts"],
    pool: "forks",
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
  },
});
