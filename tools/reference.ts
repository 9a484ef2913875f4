/** Writes docs/REFERENCE.md: `node tools/reference.ts`. With `--check` it only looks whether that is up to date. */
import { readFileSync, writeFileSync } from "node:fs";
import { REFERENCE, referenceText } from "./reference/document.ts";

const text = referenceText();
if (process.argv[2] === "--check") {
  const same = readFileSync(REFERENCE, "utf8") === text;
  console.log(
    same ? "docs/REFERENCE.md is up to date" : "docs/REFERENCE.md is out of date; run: make reference",
  );
  process.exitCode = same ? 0 : 1;
} else {
  writeFileSync(REFERENCE, text);
  console.log(`docs/REFERENCE.md: ${text.split("\n").length} lines`);
}
