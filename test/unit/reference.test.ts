/** docs/REFERENCE.md says what the program says. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { REFERENCE, referenceText } from "../../tools/reference/document.ts";

test("docs/REFERENCE.md is up to date: make reference", () => {
  const written = readFileSync(REFERENCE, "utf8").split("\n");
  const text = referenceText().split("\n");
  const differs = text.findIndex((line, i) => line !== written[i]);
  expect(differs < 0 ? "" : `line ${differs + 1}: ${written[differs]}`).toBe(
    differs < 0 ? "" : text[differs],
  );
  expect(written.length).toBe(text.length);
});

test("every exit status stands in it", () => {
  const rows = [...referenceText().matchAll(/^\| (\d) \| /gm)].map(([, status]) => Number(status));
  expect(rows).toEqual(Object.values(EXIT));
});

test("no cell breaks its table", () => {
  let columns = 0;
  for (const line of referenceText().split("\n")) {
    const cells = line.replaceAll("\\|", "").split("|").length;
    if (!line.startsWith("|")) columns = 0;
    else if (columns === 0) columns = cells;
    else expect(cells, line).toBe(columns);
  }
});
