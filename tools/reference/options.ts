/**
 * Every setting of hipd.toml: its type and limits from the schema, its default and explanation from the example configuration.
 * Manual page and reference are made from this list.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod/mini";
import { CONFIG_SCHEMA, PEERS_FILE_SCHEMA } from "../../src/runtime/config-schema.ts";

export const EXAMPLE = join(import.meta.dirname, "../../deploy/hipd.toml");

export interface Option {
  /** "" for the top of the file, "protocol.timers", or "peer" for each [[peer]]. */
  readonly table: string;
  readonly key: string;
  /** In words: "integer from 1 to 65535". */
  readonly type: string;
  /** As it stands in the file. For `peer` and where nothing is set by default: an example. */
  readonly value: string;
  readonly text: string;
}

/** What is wrong with the example configuration as the source of texts: nothing, if it is in order. */
export interface Options {
  readonly options: readonly Option[];
  readonly problems: readonly string[];
}

interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
}

/** All settings in the order of the example configuration. */
export function configOptions(toml: string = readFileSync(EXAMPLE, "utf8")): Options {
  const schema = z.toJSONSchema(CONFIG_SCHEMA, { io: "input" }) as JsonSchema;
  const peers = z.toJSONSchema(PEERS_FILE_SCHEMA, { io: "input" }) as JsonSchema;
  const types = new Map<string, JsonSchema>();
  collect(schema, "", types);
  collect(peers.properties?.["peer"]?.items ?? {}, "peer", types);
  types.delete(":peer");
  const options: Option[] = [];
  const problems: string[] = [];
  for (const { table, key, value, text } of readExample(toml, types)) {
    const type = types.get(`${table}:${key}`) as JsonSchema;
    types.delete(`${table}:${key}`);
    if (text === "") problems.push(`[${table}] ${key} has no comment of its own above it`);
    options.push({ table, key, type: typeInWords(type, value), value, text });
  }
  for (const name of types.keys()) problems.push(`${name.replace(":", " ")} is not in the example`);
  return { options, problems };
}

function collect(schema: JsonSchema, table: string, into: Map<string, JsonSchema>): void {
  for (const [key, value] of Object.entries(schema.properties ?? {})) {
    if (value.type === "object") collect(value, table === "" ? key : `${table}.${key}`, into);
    else into.set(`${table}:${key}`, value);
  }
}

/** Settings, commented out or not, with the comment right above each; one comment belongs to one setting. */
function readExample(toml: string, known: ReadonlyMap<string, unknown>): readonly Omit<Option, "type">[] {
  const found: Omit<Option, "type">[] = [];
  let table = "";
  let comment: string[] = [];
  for (const line of toml.split("\n")) {
    const header = /^(?:# )?\[{1,2}([a-z_.]+)\]{1,2}$/.exec(line);
    const setting = /^(?:# )?([a-z_0-9]+) = (.+)$/.exec(line);
    if (header !== null) {
      table = header[1] as string;
      comment = [];
    } else if (setting !== null && known.has(`${table}:${setting[1]}`)) {
      found.push({
        table,
        key: setting[1] as string,
        value: setting[2] as string,
        text: comment.join(" "),
      });
      comment = [];
    } else if (line.startsWith("# ")) comment.push(line.slice(2).trim());
    else comment = [];
  }
  return found;
}

/** Durations are strings to the schema; the value in the example tells them. */
function typeInWords(schema: JsonSchema, value: string): string {
  if (schema.enum !== undefined)
    return `one of ${schema.enum.map((each) => JSON.stringify(each)).join(", ")}`;
  if (schema.anyOf !== undefined) return schema.anyOf.map((each) => typeInWords(each, "")).join(" or ");
  switch (schema.type) {
    case "array": {
      const each = typeInWords(schema.items ?? {}, "").replace(/^one of /, "");
      return `list of ${each}${schema.maxItems === undefined ? "" : `, at most ${schema.maxItems}`}`;
    }
    case "boolean":
      return "true or false";
    case "integer":
      return `integer${limits(schema)}`;
    case "string":
      return /^"[0-9.]+ ?(us|ms|s|m|h)"$/.test(value) ? "duration" : "string";
    default:
      return schema.type ?? "value";
  }
}

/** JavaScript's own limits for whole numbers are none. */
function limits({ minimum, maximum }: JsonSchema): string {
  const low = minimum === undefined || minimum <= Number.MIN_SAFE_INTEGER ? undefined : minimum;
  const high = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (low !== undefined && high !== undefined) return ` from ${low} to ${high}`;
  if (low !== undefined) return `, at least ${low}`;
  return high === undefined ? "" : `, at most ${high}`;
}
