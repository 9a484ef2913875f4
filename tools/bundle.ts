/**
 * Joins what the compiler wrote and the libraries that it uses into few files: a program that looks for some three hundred modules, one
 * after the other, starts twice as slowly. `dist/bundle/cli` has the programs, `dist/bundle/chunks` what they share or load later.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { thirdPartyLicences } from "./deb/inventory.ts";
import { ROOT } from "./deb/paths.ts";
import { productionPackages } from "./deb/production.ts";

const TARGET = join(ROOT, "dist/bundle");

/** Threads are started by the place of their file: it lies beside the chunk that starts them. */
const THREADS = ["job-worker"];

const bundle = await rolldown({
  cwd: ROOT,
  input: {
    "hipd-main": "dist/src/cli/hipd-main.js",
    "hipctl-main": "dist/src/cli/hipctl-main.js",
    "job-worker": "dist/src/runtime/job-worker.js",
  },
  platform: "node",
  // Warnings are about libraries; an error throws.
  logLevel: "silent",
});
rmSync(TARGET, { recursive: true, force: true });
await bundle.write({
  dir: TARGET,
  format: "esm",
  entryFileNames: ({ name }) => (THREADS.includes(name) ? "chunks/[name].js" : "cli/[name].js"),
  chunkFileNames: "chunks/[name].js",
  comments: { legal: true, annotation: false, jsdoc: false },
});
await bundle.close();
writeFileSync(join(TARGET, "LICENSES.txt"), thirdPartyLicences(productionPackages(), undefined));
