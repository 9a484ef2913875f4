import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { build, checksumValid, type Packet, parse, withChecksum } from "../../src/wire/packet.ts";
import { KNOWN_PARAMETERS } from "../../src/wire/registry.ts";
import { decapsulate, encapsulate } from "../../src/wire/udp.ts";
import { CORPUS } from "../fuzz/corpus.ts";
import { exercise } from "../fuzz/exercise.ts";
import { mutate, randomOf } from "../fuzz/mutate.ts";
import { packetDraft } from "./arbitrary.ts";

function mustParse(bytes: Uint8Array): Packet {
  const parsed = parse(bytes);
  if (!parsed.ok) throw new Error(`${parsed.error.reason}: ${parsed.error.detail}`);
  return parsed.value;
}

describe("packets", () => {
  test("build(parse(build(x))) = build(x), and the parts are those of x", () => {
    fc.assert(
      fc.property(packetDraft, (draft) => {
        const bytes = build(draft);
        const packet = mustParse(bytes);
        const { name, controls, sender, receiver, parameters } = packet;
        expect({ name, controls, sender, receiver }).toEqual({
          name: draft.name,
          controls: draft.controls,
          sender: draft.sender,
          receiver: draft.receiver,
        });
        expect(build({ name, controls, sender, receiver, parameters })).toEqual(bytes);
      }),
      { numRuns: 500 },
    );
  });

  test("parameters come sorted, and those of one type keep their order", () => {
    fc.assert(
      fc.property(packetDraft, (draft) => {
        const types = mustParse(build(draft)).parameters.map(({ type }) => type);
        expect(types).toEqual(types.toSorted((a, b) => a - b));
        for (const type of types) {
          const sent = draft.parameters.filter((one) => one.type === type).map(({ contents }) => contents);
          const got = mustParse(build(draft)).parameters.filter((one) => one.type === type);
          expect(got.map(({ contents }) => contents)).toEqual(sent);
        }
      }),
    );
  });

  test("unknown critical types are reported, all of them and no others", () => {
    const known = new Set(KNOWN_PARAMETERS.map(({ type }) => type));
    fc.assert(
      fc.property(packetDraft, (draft) => {
        const expected = draft.parameters
          .map(({ type }) => type)
          .filter((type) => type % 2 === 1 && !known.has(type));
        expect(mustParse(build(draft)).unknownCritical.toSorted((a, b) => a - b)).toEqual(
          expected.toSorted((a, b) => a - b),
        );
      }),
    );
  });

  test("no bytes make anything throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void exercise(bytes)),
      { numRuns: 1000 },
    );
  });

  test("no mutation of a valid packet makes anything throw", () => {
    const mutation = fc.record({ at: fc.nat(2047), value: fc.nat(255) });
    fc.assert(
      fc.property(packetDraft, fc.array(mutation, { maxLength: 6 }), fc.nat(2048), (draft, changes, cut) => {
        const bytes = build(draft);
        for (const { at, value } of changes) bytes[at % bytes.length] = value;
        exercise(bytes);
        exercise(bytes.subarray(0, cut % (bytes.length + 1)));
      }),
      { numRuns: 1000 },
    );
  });

  test("the fuzzer's corpus is valid, and some thousand of its mutants do no harm", () => {
    for (const bytes of CORPUS) expect(exercise(bytes)).toBe("packet");
    const random = randomOf(7401);
    const counts = { packet: 0, refused: 0 };
    for (let n = 0; n < 5000; n++) counts[exercise(mutate(CORPUS, random))]++;
    // Mutations that are all refused, or all harmless, would test little.
    expect(Math.min(counts.packet, counts.refused)).toBeGreaterThan(500);
  });

  test("a cut packet is refused", () => {
    fc.assert(
      fc.property(packetDraft, fc.nat(2048), (draft, cut) => {
        const bytes = build(draft);
        expect(parse(bytes.subarray(0, cut % bytes.length)).ok).toBe(false);
      }),
    );
  });

  test("the checksum is valid as made, and not after a change of any bit", () => {
    fc.assert(
      fc.property(packetDraft, fc.nat(), fc.nat(7), fc.boolean(), (draft, at, bit, v6) => {
        const [a, b] = v6 ? ["2001:db8::1", "2001:db8::2"] : ["192.0.2.1", "198.51.100.2"];
        const bytes = withChecksum(build(draft), a as string, b as string);
        expect(checksumValid(bytes, a as string, b as string)).toBe(true);
        expect(checksumValid(bytes, b as string, a as string)).toBe(true);
        expect(checksumValid(bytes, a as string, v6 ? "2001:db8::3" : "198.51.100.3")).toBe(false);
        const index = at % bytes.length;
        bytes[index] = (bytes[index] as number) ^ (1 << bit);
        expect(checksumValid(bytes, a as string, b as string)).toBe(false);
      }),
    );
  });

  test("UDP framing comes off as it went on", () => {
    fc.assert(
      fc.property(packetDraft, (draft) => {
        const bytes = build(draft);
        expect(decapsulate(encapsulate(bytes))).toEqual({ kind: "hip", bytes });
      }),
    );
  });
});
