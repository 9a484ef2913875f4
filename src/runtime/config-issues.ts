/** The schema checker's findings in the words of the file: which table, which key, what would be right. */
import { CONFIG_SCHEMA, keysAt } from "./config-schema.ts";
import { didYouMean } from "./nearest.ts";
import type { Position, TomlPositions } from "./toml-positions.ts";

/** The fields of a zod issue that matter here; not each code has each of them. */
interface Issue {
  readonly code: string;
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly keys?: readonly string[];
  readonly expected?: string;
  readonly values?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly origin?: string;
  readonly errors?: readonly (readonly Issue[])[];
}

export interface PlacedMessage {
  readonly position: Position;
  readonly message: string;
}

/** One message for each issue (for unknown keys: one for each key), sorted by place. */
export function issueProblems(
  issues: readonly unknown[],
  schema: unknown,
  positions: TomlPositions,
  document: unknown,
): readonly PlacedMessage[] {
  const found: PlacedMessage[] = [];
  for (const issue of issues as readonly Issue[]) {
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys ?? []) {
        const message = `unknown key "${key}" in ${tableName(issue.path)}${elsewhere(key, issue.path, schema)}`;
        found.push({ position: positions.key([...issue.path, key]), message });
      }
      continue;
    }
    const value = valueAt(document, issue.path);
    const place = value === undefined ? positions.key(issue.path) : positions.value(issue.path);
    found.push({ position: place, message: `${keyName(issue.path, document)}: ${describe(issue, value)}` });
  }
  return found.sort((a, b) => a.position.line - b.position.line || a.position.column - b.position.column);
}

/** A close key of the same table; else the tables where this very key does belong. */
function elsewhere(key: string, path: readonly (string | number)[], schema: unknown): string {
  const here = keysAt(schema, path);
  const close = didYouMean(key, here);
  if (close.startsWith("; did")) return close;
  const tables = TABLES.filter((table) => keysAt(CONFIG_SCHEMA, table).includes(key));
  if (tables.length > 0) return `; it belongs in ${tables.map(tableName).join(" or ")}`;
  return close;
}

const TABLES: readonly (readonly (string | number)[])[] = [
  ["identity"],
  ["network"],
  ["locators"],
  ["control"],
  ["metrics"],
  ["log"],
  ["state"],
  ["protocol"],
  ["protocol", "timers"],
  ["protocol", "retries"],
  ["protocol", "puzzle"],
  ["peer", 0],
  [],
];

function tableName(path: readonly (string | number)[]): string {
  if (path.length === 0) return "the top level (before the first table)";
  const names = path.filter((step) => typeof step === "string").join(".");
  return path.some((step) => typeof step === "number") ? `[[${names}]]` : `[${names}]`;
}

/** `[network] port`, `[[peer]] "db1" locators`, `[log]`. */
function keyName(path: readonly (string | number)[], document: unknown): string {
  if (path[0] === "peer" && typeof path[1] === "number") {
    const name = valueAt(document, ["peer", path[1], "name"]);
    const key = path.slice(2).find((step) => typeof step === "string");
    const label = typeof name === "string" && key !== "name" ? ` "${name}"` : "";
    return `[[peer]]${label}${key === undefined ? "" : ` ${key}`}`;
  }
  const names = path.filter((step) => typeof step === "string");
  if (names.length < 2) return names[0] === "peers_dir" ? "peers_dir" : tableName(path);
  return `[${names.slice(0, -1).join(".")}] ${names[names.length - 1]}`;
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: "text in quotes",
  number: "a whole number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list like [ ... ]",
  object: "a table",
};

function describe(issue: Issue, value: unknown): string {
  switch (issue.code) {
    case "invalid_type":
      if (value === undefined) return "is missing";
      return `expected ${EXPECTED[issue.expected ?? ""] ?? issue.expected}, found ${kindOf(value)}`;
    case "invalid_value": {
      const known = (issue.values ?? []).map(String);
      if (typeof value !== "string") return `expected one of ${quoted(known)}, found ${kindOf(value)}`;
      const close = didYouMean(value, known);
      return `"${value}" is not allowed${close.startsWith("; did") ? close : `; write ${quoted(known)}`}`;
    }
    case "too_small":
      if (issue.origin === "array") return "must not be empty";
      if (issue.origin === "string") return "must not be empty";
      return `${String(value)} is too small; at least ${issue.minimum} is needed`;
    case "too_big":
      if (issue.origin === "array") return `has too many members; at most ${issue.maximum} are allowed`;
      return `${String(value)} is too large; at most ${issue.maximum} is allowed`;
    case "invalid_union":
      return `expected a name or a number, found ${kindOf(value)}`;
    default:
      return issue.message;
  }
}

function quoted(words: readonly string[]): string {
  const all = words.map((word) => `"${word}"`);
  return all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} or ${all[all.length - 1]}`;
}

function kindOf(value: unknown): string {
  if (typeof value === "string")
    return `the text "${value.length > 40 ? `${value.slice(0, 40)}...` : value}"`;
  if (typeof value === "number" || typeof value === "bigint") return `the number ${value}`;
  if (typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return "a list";
  if (value instanceof Date) return "a date";
  return "a table";
}

function valueAt(document: unknown, path: readonly (string | number)[]): unknown {
  let at = document;
  for (const step of path) {
    if (typeof at !== "object" || at === null) return undefined;
    at = (at as Record<string | number, unknown>)[step];
  }
  return at;
}
