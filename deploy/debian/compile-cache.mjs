/** node compile-cache.mjs DIST daemon|client: imports every module of a program, so that its compiled code is kept. */
import { globSync } from "node:fs";
import { enableCompileCache, flushCompileCache } from "node:module";
import { join } from "node:path";

const [dist = "", which] = process.argv.slice(2);
enableCompileCache(join(dist, ".compile-cache"));
// Mains and threads do things when they are imported.
const skipped = /(-main|-worker)\.js$/;
const modules = globSync(which === "client" ? "src/cli/**/*.js" : "src/**/*.js", { cwd: dist });
for (const module of modules.filter((name) => !skipped.test(name))) await import(join(dist, module));
flushCompileCache();
process.exit();
