/** Writes the manual pages: `node tools/man/main.ts FOLDER [VERSION]`. SOURCE_DATE_EPOCH gives their date. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageVersion } from "../../src/runtime/version.ts";
import { manualPages } from "./pages.ts";

const [folder, version = packageVersion()] = process.argv.slice(2);
if (folder === undefined) {
  console.error("usage: node tools/man/main.ts FOLDER [VERSION]");
  process.exit(2);
}
const epoch = Number(process.env["SOURCE_DATE_EPOCH"] ?? Math.floor(Date.now() / 1000));
const date = new Date(epoch * 1000).toISOString().slice(0, 10);
mkdirSync(folder, { recursive: true });
for (const { name, section, text } of manualPages(version, date)) {
  const path = join(folder, `${name}.${section}`);
  writeFileSync(path, text);
  console.log(path);
}
