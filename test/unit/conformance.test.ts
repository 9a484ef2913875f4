import { join } from "node:path";
import { expect, test } from "vitest";
import { countLines, problemsOf, readRows } from "../../tools/conformance.ts";

test("docs/CONFORMANCE.md names only what exists, leaves no row open, and counts right", () => {
  expect(problemsOf(join(import.meta.dirname, "../.."))).toEqual([]);
});

test("a row is read with its files, symbols and tests", () => {
  const row =
    '| 5.2.1-1 | MUST | order | yes | `src/wire/packet.ts` build; `native/sa.cc` reserve | `wire-packet` "is that" | |';
  const { rows, problems } = readRows(`## RFC 7401\n${row}\n`);
  expect(problems).toEqual([]);
  expect(rows[0]).toMatchObject({
    rfc: "7401",
    section: "5.2.1",
    number: 1,
    verdict: "yes",
    where: [
      { file: "src/wire/packet.ts", symbol: "build" },
      { file: "native/sa.cc", symbol: "reserve" },
    ],
    proofs: [{ file: "wire-packet", title: "is that" }],
  });
  expect(countLines(rows)).toContain("| yes | 1 | 0 | 0 | 0 | 0 | 0 | 1 |");
});

test("a row with a cell too many is told", () => {
  expect(readRows("## RFC 7402\n| 3-1 | MUST | a | b | yes | | | |").problems).toHaveLength(1);
});
