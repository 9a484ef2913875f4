/** One file of TOML: read, parsed and checked by a schema. Whatever is wrong with it is told with file, line and column. */
import { readFileSync } from "node:fs";
import { parse, TomlError } from "smol-toml";
import { issueProblems } from "./config-issues.ts";
import { whyNot } from "./files.ts";
import { withInstanceDefaults } from "./overlay-instance.ts";
import { type Position, TomlPositions } from "./toml-positions.ts";

/** One thing that is wrong with the configuration. */
export interface Problem {
  readonly file: string;
  readonly position: Position | undefined;
  readonly message: string;
}

const MAX_FILE_BYTES = 64 * 1024 * 1024;

/** A file that was read, and where its values stand. */
export interface Source {
  readonly file: string;
  readonly positions: TomlPositions;
}

interface Schema<T> {
  safeParse(
    data: unknown,
  ): { success: true; data: T } | { success: false; error: { issues: readonly unknown[] } };
}

/** Undefined when there is no document at all; `value` is undefined when it has problems (which were added). */
export function readDocument<T>(
  file: string,
  schema: Schema<T>,
  problems: Problem[],
  instance?: string,
): { source: Source; value: T | undefined } | undefined {
  let text: string;
  try {
    const bytes = readFileSync(file);
    if (bytes.length > MAX_FILE_BYTES)
      throw new Error(`it has ${bytes.length} bytes; at most ${MAX_FILE_BYTES} are allowed`);
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    const message = error instanceof TypeError ? "is not UTF-8 text" : `cannot be read: ${whyNot(error)}`;
    problems.push({ file, position: undefined, message });
    return undefined;
  }
  let document: unknown;
  try {
    const parsed = parse(text);
    document = instance === undefined ? parsed : withInstanceDefaults(parsed, instance);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const message = (error.message.split("\n")[0] as string).replace(/^Invalid TOML document: /, "");
    problems.push({
      file,
      position: { line: error.line, column: error.column },
      message: `not valid TOML: ${message}`,
    });
    return undefined;
  }
  const source = { file, positions: new TomlPositions(text) };
  const result = schema.safeParse(document);
  if (result.success) return { source, value: result.data };
  problems.push(
    ...issueProblems(result.error.issues, schema, source.positions, document).map((p) => ({ file, ...p })),
  );
  return { source, value: undefined };
}
