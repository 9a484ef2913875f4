/**
 * Fields: the pieces that parameters are declared from. Each knows how to read itself, how to write itself, its
 * TypeScript type, and its shape, from which the property tests generate values.
 */
import type { Reader, Writer } from "../core/cursor.ts";

/** What values of a field look like, for generators and documents. */
export type Shape =
  | { readonly kind: "number"; readonly bits: number }
  | { readonly kind: "bigint"; readonly bits: 64 }
  | { readonly kind: "boolean" }
  | { readonly kind: "choice"; readonly values: readonly number[] }
  | { readonly kind: "bytes"; readonly min: number; readonly max: number; readonly unit: number }
  /** Byte strings of one structure that all have the same length. */
  | { readonly kind: "half" }
  | { readonly kind: "list"; readonly of: Shape; readonly min: number; readonly max: number }
  | { readonly kind: "struct"; readonly fields: Readonly<Record<string, Shape>> }
  | { readonly kind: "either"; readonly shapes: readonly Shape[] };

export interface Field<T> {
  /** Undefined for a value that the RFC does not allow. Reading past the end is seen by the caller as `reader.overrun`. */
  decode(reader: Reader): T | undefined;
  encode(writer: Writer, value: T): void;
  readonly shape: Shape;
}

/** Longest byte string that generators make; the wire allows more. */
const SAMPLE_BYTES = 64;
const SAMPLE_ITEMS = 8;

export const u8: Field<number> = {
  decode: (reader) => reader.u8(),
  encode: (writer, value) => void writer.u8(value),
  shape: { kind: "number", bits: 8 },
};

export const u16: Field<number> = {
  decode: (reader) => reader.u16(),
  encode: (writer, value) => void writer.u16(value),
  shape: { kind: "number", bits: 16 },
};

export const u32: Field<number> = {
  decode: (reader) => reader.u32(),
  encode: (writer, value) => void writer.u32(value),
  shape: { kind: "number", bits: 32 },
};

export const u64: Field<bigint> = {
  decode: (reader) => reader.u64(),
  encode: (writer, value) => void writer.u64(value),
  shape: { kind: "bigint", bits: 64 },
};

/** Everything that is left. */
export const rest: Field<Uint8Array> = {
  decode: (reader) => reader.rest(),
  encode: (writer, value) => void writer.bytes(value),
  shape: { kind: "bytes", min: 0, max: SAMPLE_BYTES, unit: 1 },
};

/** Exactly `length` bytes. */
export function fixed(length: number): Field<Uint8Array> {
  return {
    decode: (reader) => reader.take(length),
    encode: (writer, value) => {
      const part = value.subarray(0, length);
      writer.bytes(part).zeros(length - part.length);
    },
    shape: { kind: "bytes", min: length, max: length, unit: 1 },
  };
}

/** A 16-bit length and that many bytes. */
export const counted16: Field<Uint8Array> = {
  decode: (reader) => reader.take(reader.u16()),
  encode: (writer, value) => void writer.u16(value.length).bytes(value),
  shape: { kind: "bytes", min: 0, max: SAMPLE_BYTES, unit: 1 },
};

/** The first half of what is left; the second half is `secondHalf`. Both have the same length (RFC 7401 5.2.5). */
export const firstHalf: Field<Uint8Array> = {
  decode: (reader) => (reader.remaining % 2 === 0 ? reader.take(reader.remaining / 2) : undefined),
  encode: (writer, value) => void writer.bytes(value),
  shape: { kind: "half" },
};

export const secondHalf: Field<Uint8Array> = { ...rest, shape: { kind: "half" } };

/**
 * Items to the end. Fewer than `min` is malformed. With `keep`, items beyond that number are dropped, in both
 * directions (RFC 7401 5.2.8: accept the first six, drop the rest).
 */
export function list<T>(
  item: Field<T>,
  limits: { readonly min?: number; readonly keep?: number } = {},
): Field<readonly T[]> {
  const min = limits.min ?? 0;
  const keep = limits.keep ?? Number.POSITIVE_INFINITY;
  return {
    decode: (reader) => {
      const items: T[] = [];
      while (reader.remaining > 0 && !reader.overrun) {
        const value = item.decode(reader);
        if (value === undefined) return undefined;
        if (items.length < keep) items.push(value);
      }
      return items.length < min ? undefined : items;
    },
    encode: (writer, items) => {
      for (const value of items.slice(0, keep)) item.encode(writer, value);
    },
    shape: { kind: "list", of: item.shape, min, max: Math.min(keep, SAMPLE_ITEMS) },
  };
}

/** Names that begin with "reserved" are written as zero, ignored when read, and are no part of the value. */
type IsReserved<K> = K extends `reserved${string}` ? K : never;

// biome-ignore lint/suspicious/noExplicitAny: a set of fields holds fields of any type
export type Fields = Readonly<Record<string, Field<any>>>;

export type StructValue<F extends Fields> = {
  readonly [K in keyof F as K extends IsReserved<K> ? never : K]: F[K] extends Field<infer T> ? T : never;
};

/** Fields one after the other. */
export function struct<F extends Fields>(fields: F): Field<StructValue<F>> {
  const rows = Object.entries(fields).map(([name, field]) => ({
    name,
    field,
    reserved: name.startsWith("reserved"),
  }));
  const shapes: Record<string, Shape> = {};
  for (const row of rows) if (!row.reserved) shapes[row.name] = row.field.shape;
  return {
    decode: (reader) => {
      const value: Record<string, unknown> = {};
      for (const row of rows) {
        const part = row.field.decode(reader);
        if (part === undefined || reader.overrun) return undefined;
        if (!row.reserved) value[row.name] = part;
      }
      return value as StructValue<F>;
    },
    encode: (writer, value) => {
      for (const row of rows) {
        row.field.encode(writer, row.reserved ? 0 : (value as Record<string, unknown>)[row.name]);
      }
    },
    shape: { kind: "struct", fields: shapes },
  };
}
