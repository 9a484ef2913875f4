/**
 * Holds docs/CONFORMANCE.md to the tree: every row has a verdict, every file, symbol and test that it names exists, the
 * numbers of a section have no gap, and the counts at the top are those of the tables. Run by test/unit/conformance.test.ts
 * and as `node tools/conformance.ts`.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/** Those that the document has tables of, in its order. */
export const RFCS = ["7401", "7402", "8005", "8046", "8047", "9028"] as const;
export const VERDICTS = ["yes", "differs", "not yet", "not applicable"] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface Row {
  /** One of RFCS. */
  readonly rfc: string;
  readonly section: string;
  readonly number: number;
  readonly level: string;
  readonly what: string;
  readonly verdict: string;
  /** `src/wire/packet.ts` with the symbol behind it. */
  readonly where: readonly { readonly file: string; readonly symbol: string }[];
  /** Base name of a test file, and a part of the test's title. */
  readonly proofs: readonly { readonly file: string; readonly title: string }[];
  readonly why: string;
}

const COLUMNS = 7;
const HEADING = /^## RFC (\d{4})/;
const WHERE = /`([^`]+)` ([\w$]+)/g;
const PROOF = /`([^`]+)` "([^"]+)"/g;

export function readRows(markdown: string): {
  readonly rows: readonly Row[];
  readonly problems: readonly string[];
} {
  const rows: Row[] = [];
  const problems: string[] = [];
  let rfc = "";
  for (const [index, line] of markdown.split("\n").entries()) {
    rfc = HEADING.exec(line)?.[1] ?? rfc;
    const id = /^\| (\S+)-(\d+) \|/.exec(line);
    if (rfc === "" || id === null) continue;
    // A bar inside a cell is written \\|.
    const cells = line.split(/(?<!\\)\|/).slice(1, -1);
    if (cells.length !== COLUMNS) {
      problems.push(`line ${index + 1}: ${cells.length} cells, not ${COLUMNS}`);
      continue;
    }
    const [, level = "", what = "", verdict = "", where = "", proofs = "", why = ""] = cells.map((cell) =>
      cell.trim(),
    );
    rows.push({
      rfc,
      section: id[1] as string,
      number: Number(id[2]),
      level,
      what,
      verdict,
      where: [...where.matchAll(WHERE)].map(([, file = "", symbol = ""]) => ({ file, symbol })),
      proofs: [...proofs.matchAll(PROOF)].map(([, file = "", title = ""]) => ({ file, title })),
      why,
    });
  }
  return { rows, problems };
}

/** The lines of the table of counts, as they must stand in the document. */
export function countLines(rows: readonly Row[]): readonly string[] {
  const count = (verdict: string, rfc?: string) =>
    rows.filter((row) => row.verdict === verdict && (rfc === undefined || row.rfc === rfc)).length;
  const total = (rfc?: string) => rows.filter((row) => rfc === undefined || row.rfc === rfc).length;
  const bare = (rfc?: string) =>
    rows.filter(
      (row) => row.verdict === "yes" && row.proofs.length === 0 && (rfc === undefined || row.rfc === rfc),
    ).length;
  const line = (name: string, of: (rfc?: string) => number) =>
    `| ${[name, ...RFCS.map((rfc) => of(rfc)), of()].join(" | ")} |`;
  return [
    ...VERDICTS.map((verdict) => line(verdict, (rfc) => count(verdict, rfc))),
    line("all", total),
    line("yes, without a test of its own", bare),
  ];
}

/** What is wrong with the document, in words; empty when nothing is. */
export function problemsOf(root: string): readonly string[] {
  const markdown = readFileSync(join(root, "docs/CONFORMANCE.md"), "utf8");
  const { rows, problems } = readRows(markdown);
  const found = [...problems];
  if (rows.length === 0) found.push("docs/CONFORMANCE.md has no rows");
  for (const line of countLines(rows))
    if (!markdown.includes(line)) found.push(`the counts must say: ${line}`);
  const tests = testFiles(root);
  const text = reader(root);
  let before: Row | undefined;
  for (const row of rows) {
    const name = `RFC ${row.rfc} ${row.section}-${row.number}`;
    const expected = before?.rfc === row.rfc && before.section === row.section ? before.number + 1 : 1;
    if (row.number !== expected) found.push(`${name}: number ${expected} was expected`);
    before = row;
    if (!(RFCS as readonly string[]).includes(row.rfc)) found.push(`${name}: rows of RFC ${row.rfc}?`);
    if (!(VERDICTS as readonly string[]).includes(row.verdict))
      found.push(`${name}: "${row.verdict}" is no verdict`);
    if (row.level === "" || row.what === "") found.push(`${name}: the level or the requirement is missing`);
    if (row.verdict === "yes" && row.where.length === 0) found.push(`${name}: yes, but where?`);
    if (row.verdict !== "yes" && row.why === "") found.push(`${name}: ${row.verdict}, but why?`);
    for (const { file, symbol } of row.where) {
      const source = text(file);
      if (source === undefined) found.push(`${name}: there is no ${file}`);
      else if (!new RegExp(`\\b${symbol.replaceAll("$", "\\$")}\\b`).test(source)) {
        found.push(`${name}: ${file} has no ${symbol}`);
      }
    }
    for (const { file, title } of row.proofs) {
      const path = tests.get(file);
      if (path === undefined) found.push(`${name}: there is no test ${file}`);
      else if (text(path)?.includes(title) !== true) found.push(`${name}: ${path} has no "${title}"`);
    }
  }
  return found;
}

function reader(root: string): (file: string) => string | undefined {
  const known = new Map<string, string | undefined>();
  return (file) => {
    if (!known.has(file)) {
      const path = join(root, file);
      known.set(file, existsSync(path) ? readFileSync(path, "utf8") : undefined);
    }
    return known.get(file);
  };
}

/** Test files by base name: `wire-packet`, `esp_test`. A name that is not unique is the unit test's; others get their folder: `property/wire-packet`. */
function testFiles(root: string): ReadonlyMap<string, string> {
  const paths = ["unit", "property", "vectors", "scenario", "netns", "sim"]
    .map((folder) => `test/${folder}`)
    .concat("native/test")
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`))
    .filter((path) => /\.test\.ts$|_test\.cc$|^test\/sim\/.*\.ts$/.test(path));
  const files = new Map<string, string>();
  for (const path of paths) {
    const name = basename(path).replace(/(\.test)?\.ts$|\.cc$/, "");
    const folder = path.split("/").at(-2) as string;
    files.set(`${folder}/${name}`, path);
    if (!files.has(name) && !["netns", "sim"].includes(folder)) files.set(name, path);
  }
  return files;
}

if (process.argv[1] === import.meta.filename) {
  const problems = problemsOf(join(import.meta.dirname, ".."));
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
  else console.log("docs/CONFORMANCE.md agrees with the tree");
}
