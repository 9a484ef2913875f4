/** Generators of parameters and packets, made from the declarations in src/wire. */
import fc from "fast-check";
import type { Hit } from "../../src/core/types.ts";
import type { Shape } from "../../src/wire/field.ts";
import { PACKET_TYPE, type PacketDraft, type PacketName } from "../../src/wire/packet.ts";
import type { DraftParameter, Parameter } from "../../src/wire/parameter.ts";
import { KNOWN_PARAMETERS } from "../../src/wire/registry.ts";

/** Values of a shape. `half`: the common length of all "half" strings in it. */
export function valuesOf(shape: Shape, half = 0): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case "number":
      return fc.integer({ min: 0, max: 2 ** shape.bits - 1 });
    case "bigint":
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    case "boolean":
      return fc.boolean();
    case "choice":
      return fc.constantFrom(...shape.values);
    case "bytes":
      return fc
        .integer({ min: Math.ceil(shape.min / shape.unit), max: Math.floor(shape.max / shape.unit) })
        .chain((count) => bytesOf(count * shape.unit));
    case "half":
      return bytesOf(half);
    case "list":
      return fc.array(valuesOf(shape.of), { minLength: shape.min, maxLength: shape.max });
    case "struct":
      return fc.nat(48).chain((length) => {
        const fields = Object.entries(shape.fields).map(([name, field]) => [name, valuesOf(field, length)]);
        return fc.record(Object.fromEntries(fields), { noNullPrototype: true });
      });
    case "either":
      return fc.oneof(...shape.shapes.map((one) => valuesOf(one)));
  }
}

export function bytesOf(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

export function draftOf(parameter: Parameter<unknown>): fc.Arbitrary<DraftParameter> {
  return valuesOf(parameter.shape).map((value) => parameter.of(value));
}

const hit: fc.Arbitrary<Hit> = bytesOf(12).map(
  (tail) => `2001002${Buffer.from(tail).toString("hex").padStart(25, "2")}` as Hit,
);

/** Types that no declaration has, also critical ones. */
const unknownParameter: fc.Arbitrary<DraftParameter> = fc
  .record({ type: fc.integer({ min: 1, max: 65535 }), contents: fc.uint8Array({ maxLength: 40 }) })
  .filter(({ type }) => KNOWN_PARAMETERS.every((known) => known.type !== type));

/** Well-formed packets with a few parameters; those that may repeat do. */
export const packetDraft: fc.Arbitrary<PacketDraft> = fc.record({
  name: fc.constantFrom(...(Object.keys(PACKET_TYPE) as PacketName[])),
  controls: fc.integer({ min: 0, max: 0xffff }),
  sender: hit,
  receiver: hit,
  parameters: fc
    .array(
      fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(...KNOWN_PARAMETERS).chain(draftOf) },
        unknownParameter,
      ),
      {
        maxLength: 8,
      },
    )
    .map(withoutForbiddenRepeats),
});

function withoutForbiddenRepeats(parameters: readonly DraftParameter[]): readonly DraftParameter[] {
  return parameters.filter(({ type }, index) => {
    const isFirst = parameters.findIndex((other) => other.type === type) === index;
    return isFirst || KNOWN_PARAMETERS.find((known) => known.type === type)?.repeats !== false;
  });
}
