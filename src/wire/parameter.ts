/** Parameters: one declaration gives type number, decoder, encoder, TypeScript type and generator (RFC 7401 5.2). */
import { Reader, Writer } from "../core/cursor.ts";
import { type Field, type Fields, type Shape, type StructValue, struct } from "./field.ts";

/** A parameter to be sent. A received one has the same form, so that it can be echoed verbatim. */
export interface DraftParameter {
  readonly type: number;
  /** Without type, length and padding. */
  readonly contents: Uint8Array;
}

export interface Parameter<V> {
  readonly type: number;
  readonly name: string;
  /** Where it is defined: `RFC 7402 5.1.1`. */
  readonly rfc: string;
  /** A receiver that does not know it must not process the packet (RFC 7401 5.2.1). */
  readonly critical: boolean;
  /** Whether a packet may carry more than one. */
  readonly repeats: boolean;
  readonly shape: Shape;
  of(value: V): DraftParameter;
  /** Undefined when the contents are too short, too long, or hold a value that the RFC does not allow. Returns views. */
  decode(contents: Uint8Array): V | undefined;
}

export type ValueOf<P> = P extends Parameter<infer V> ? V : never;

interface Heading {
  readonly type: number;
  readonly name: string;
  readonly rfc: string;
  readonly repeats?: boolean;
}

/** Declares a parameter as a sequence of fields, in the order of the wire. */
export function parameter<F extends Fields>(
  row: Heading & { readonly fields: F },
): Parameter<StructValue<F>> {
  return parameterOf(row, struct(row.fields));
}

/** Declares a parameter whose contents are not a plain sequence of fields. */
export function parameterOf<V>(row: Heading, contents: Field<V>): Parameter<V> {
  const { type, name, rfc } = row;
  return {
    type,
    name,
    rfc,
    critical: (type & 1) === 1,
    repeats: row.repeats ?? false,
    shape: contents.shape,
    of: (value) => {
      const writer = new Writer();
      contents.encode(writer, value);
      return { type, contents: writer.done() };
    },
    decode: (bytes) => {
      const reader = new Reader(bytes);
      const value = contents.decode(reader);
      return reader.overrun || reader.remaining > 0 ? undefined : value;
    },
  };
}
