/** node compile-cache.mjs DIST: imports every module of the programs, so that their compiled code is kept. */
import { globSync } from "node:fs";
import { enableCompileCache, flushCompileCache } from "node:module";
import { join } from "node:path";

const [dist = ""] = process.argv.slice(2);
enableCompileCache(join(dist, ".compile-cache"));
// Threads do things when they are imported; so do the programs themselves, which are little more than their imports.
const modules = globSync("bundle/chunks/*.js", { cwd: dist });
for (const module of modules.filter((name) => !name.endsWith("-worker.js"))) await import(join(dist, module));
flushCompileCache();
process.exit();
