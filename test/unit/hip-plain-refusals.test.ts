/** What our protocol refuses of a peer that it did not write: one thing wrong in an otherwise right packet. */
import { describe, expect, test } from "vitest";
import { Identity } from "../../src/crypto/identity.ts";
import { NOTIFY } from "../../src/wire/notification.ts";
import { Bench } from "../support/bench.ts";
import { type Choice, flipped, PlainInitiator, PlainResponder } from "../support/plain-exchange.ts";
import { checkSignature, field, find, P, PlainIdentity, read, TYPE, tlv } from "../support/plain-peer.ts";

const { u16, u32 } = field;
const ours = Identity.generate("ecdsa-p256");
const theirs = new PlainIdentity("ecdsa-p256");
const stranger = new PlainIdentity("ecdsa-p256");

/** ESP_INFO behind HIP keys of AES-128 and SHA-384: 2 * (16 + 48). */
const espInfo = (index: number, oldSpi: number, newSpi: number) => [
  tlv(P.espInfo, u16(0), u16(index), u32(oldSpi), u32(newSpi)),
];
const NATURAL = 128;

/** The NOTIFY that we sent last: its type, signed by us. */
function lastNotify(bench: Bench): string | undefined {
  const bytes = bench.sent.at(-1);
  if (bytes === undefined || bytes[2] !== TYPE.NOTIFY) return undefined;
  const notify = read(bytes);
  checkSignature(notify, 7, Buffer.from(ours.hostIdentity));
  const number = find(notify, P.notification).contents.readUInt16BE(2);
  return Object.entries(NOTIFY).find(([, value]) => value === number)?.[0];
}

describe("an I2 (RFC 7401 6.9, RFC 7402 6.5)", () => {
  function exchange(choice: Choice, change: (i2: Buffer) => Buffer = (i2) => i2, config = {}): Bench {
    const bench = new Bench(ours, theirs.hit, config);
    const peer = new PlainInitiator(theirs, choice);
    const i2 = peer.i2(bench.answer(peer.i1(bench.hit)), bench.hit);
    bench.sent.length = 0;
    bench.input({ type: "datagram", bytes: change(i2), path: bench.path() });
    return bench;
  }

  test("that is right is answered with R2", () => {
    expect(exchange({}).sent.at(-1)?.[2]).toBe(TYPE.R2);
  });

  test.each<[string, string | undefined, string, Choice]>([
    [
      "two HIP ciphers",
      "cipher_not_offered",
      "INVALID_HIP_CIPHER_CHOSEN",
      { replace: { [P.hipCipher]: [tlv(P.hipCipher, u16(2), u16(4))] } },
    ],
    [
      "a HIP cipher that was not offered: NULL",
      "cipher_not_offered",
      "INVALID_HIP_CIPHER_CHOSEN",
      { replace: { [P.hipCipher]: [tlv(P.hipCipher, u16(1))] } },
    ],
    [
      "two ESP suites",
      "esp_suite_not_offered",
      "INVALID_ESP_TRANSFORM_CHOSEN",
      { replace: { [P.espTransform]: [tlv(P.espTransform, u16(0), u16(13), u16(8))] } },
    ],
    [
      "an ESP suite that was not offered: NULL",
      "esp_suite_not_offered",
      "INVALID_ESP_TRANSFORM_CHOSEN",
      { espSuite: 7 },
    ],
    [
      "no ESP_TRANSFORM",
      "esp_suite_not_offered",
      "INVALID_ESP_TRANSFORM_CHOSEN",
      { replace: { [P.espTransform]: [] } },
    ],
    [
      "another transport format",
      "transport_format",
      "INVALID_SYNTAX",
      { replace: { [P.transportFormatList]: [tlv(P.transportFormatList, u16(2050))] } },
    ],
    [
      "two transport formats",
      "transport_format",
      "INVALID_SYNTAX",
      { replace: { [P.transportFormatList]: [tlv(P.transportFormatList, u16(4095), u16(2050))] } },
    ],
    ["an old SPI", "esp_info", "INVALID_SYNTAX", { replace: { [P.espInfo]: espInfo(NATURAL, 1000, 2000) } }],
    ["a reserved SPI", "esp_info", "INVALID_SYNTAX", { replace: { [P.espInfo]: espInfo(NATURAL, 0, 255) } }],
    [
      "ESP keys that overlap with HIP keys",
      "keymat_index",
      "INVALID_SYNTAX",
      { replace: { [P.espInfo]: espInfo(NATURAL - 1, 0, 2000) } },
    ],
    ["no ESP_INFO", "esp_info", "INVALID_SYNTAX", { replace: { [P.espInfo]: [] } }],
    [
      "the HOST_ID of somebody else",
      "hit_mismatch",
      "INVALID_HIT",
      { encrypt: false, replace: { [P.hostId]: [stranger.hostId()] } },
    ],
    [
      "an ENCRYPTED that holds nothing to be read",
      undefined,
      "ENCRYPTION_FAILED",
      { replace: { [P.encrypted]: [tlv(P.encrypted, Buffer.alloc(4 + 16 + 15))] } },
    ],
    [
      "a NAT traversal mode that was not offered",
      "nat_traversal_mode",
      "NO_VALID_NAT_TRAVERSAL_MODE_PARAMETER",
      { extra: [tlv(P.natTraversalMode, u16(0), u16(3))] },
    ],
  ])("with %s: %s, NOTIFY %s", (_, reason, notify, choice) => {
    const bench = exchange(choice);
    if (reason !== undefined) expect(bench.drops()).toContain(reason);
    expect(lastNotify(bench)).toBe(notify);
    expect(bench.state).toBe("UNASSOCIATED");
    expect(bench.sas).toEqual([]);
    expect(bench.outputs).toContainEqual(
      expect.objectContaining({ type: "event", name: "exchange-refused" }),
    );
  });

  test.each([
    ["a wrong HIP_MAC", P.mac, "HIP_MAC_FAILED"],
    ["a wrong signature", P.signature, "AUTHENTICATION_FAILED"],
    ["a wrong HOST_ID inside ENCRYPTED", P.encrypted, "HIP_MAC_FAILED"],
  ] as const)("with %s", (_, type, notify) => {
    const bench = exchange({}, (i2) => flipped(i2, type));
    expect(lastNotify(bench)).toBe(notify);
    expect(bench.sas).toEqual([]);
  });

  test("that names no NAT traversal mode of ours hears it with its own header (RFC 9028 5.10)", () => {
    let header = Buffer.alloc(0);
    const keep = (i2: Buffer): Buffer => {
      header = Buffer.from(i2.subarray(0, 40));
      return i2;
    };
    const bench = exchange({ extra: [tlv(P.natTraversalMode, u16(0), u16(3))] }, keep);
    const { contents } = find(read(bench.sent.at(-1) as Buffer), P.notification);
    expect(contents.readUInt16BE(2)).toBe(60);
    expect(contents.subarray(4)).toEqual(header);
  });

  test("that does not solve the puzzle is dropped silently", () => {
    const bench = exchange({}, (i2) => flipped(i2, P.solution), { puzzle: { ...PUZZLE, idleK: 16 } });
    expect(bench.drops()).toContain("puzzle_unsolved");
    expect(bench.sent).toEqual([]);
  });

  test("with a counter that is not the R1's is dropped silently", () => {
    const bench = exchange({}, (i2) => flipped(i2, P.r1Counter));
    expect(bench.drops()).toContain("r1_counter");
    expect(bench.sent).toEqual([]);
  });

  test("with a bad Diffie-Hellman value is dropped silently, before a key is made (5.3.2)", () => {
    const zero = tlv(P.diffieHellman, Buffer.of(7), u16(64), Buffer.alloc(64));
    const bench = exchange({ replace: { [P.diffieHellman]: [zero] } });
    expect(bench.drops()).toContain("dh_public_value");
    expect(bench.sent).toEqual([]);
  });

  test("with a Diffie-Hellman group that was not that of the R1", () => {
    const other = tlv(P.diffieHellman, Buffer.of(8), u16(96), Buffer.alloc(96, 1));
    const bench = exchange({ replace: { [P.diffieHellman]: [other] } });
    expect(lastNotify(bench)).toBe("INVALID_DH_CHOSEN");
  });

  test("or any other packet for another HIT is dropped silently", () => {
    const bench = new Bench(ours, theirs.hit);
    const peer = new PlainInitiator(theirs);
    for (const type of Object.values(TYPE)) {
      const bytes = peer.i1(stranger.hit);
      bytes[2] = type;
      bench.input({ type: "datagram", bytes, path: bench.path() });
      expect(bench.drops().at(-1)).toBe("not_our_hit");
    }
    expect(bench.sent).toEqual([]);
  });

  test("that is malformed, like an I1 that is, gets no NOTIFY (6.7.2)", () => {
    const bench = new Bench(ours, theirs.hit);
    const i1 = new PlainInitiator(theirs).i1(bench.hit);
    bench.input({ type: "datagram", bytes: i1.subarray(0, 41), path: bench.path() });
    expect(bench.drops().at(-1)).toMatch(/^malformed_/);
    expect(bench.sent).toEqual([]);
  });
});

const PUZZLE = { idleK: 0, easyRate: 250, loadedK: 20, solveK: 24, lifetime: 37 };

describe("an R1 (RFC 7401 6.8, RFC 7402 6.4)", () => {
  function exchange(choice: Choice, change: (r1: Buffer) => Buffer = (r1) => r1, config = {}): Bench {
    const bench = new Bench(ours, theirs.hit, config);
    const peer = new PlainResponder(theirs, choice);
    const r1 = peer.r1(bench.connect(theirs.hit));
    bench.sent.length = 0;
    bench.input({ type: "datagram", bytes: change(r1), path: bench.path() });
    return bench;
  }

  test.each<[string, string, Choice]>([
    ["the HOST_ID of somebody else", "hit_mismatch", { replace: { [P.hostId]: [stranger.hostId()] } }],
    ["a group that is not the best of both lists", "dh_downgrade", { group: 3, groups: [7, 8, 3] }],
    ["ESP_TRANSFORM missing", "r1_incomplete", { replace: { [P.espTransform]: [] } }],
    ["a puzzle that is harder than our bound", "puzzle_too_hard", { k: 40 }],
    ["an unknown critical parameter", "unknown_critical_parameter", { extra: [tlv(4099, Buffer.of(1))] }],
  ])("with %s is ignored silently: %s", (_, reason, choice) => {
    const bench = exchange(choice);
    expect(bench.drops()).toContain(reason);
    expect(bench.sent).toEqual([]);
    expect(bench.state).toBe("I1-SENT");
  });

  test("with a wrong signature is ignored silently, whatever else is wrong (4.1.3)", () => {
    const bench = exchange({ group: 3, groups: [7, 8, 3] }, (r1) => flipped(r1, P.signature2));
    expect(bench.drops()).toContain("signature");
    expect(bench.sent).toEqual([]);
    expect(bench.state).toBe("I1-SENT");
  });

  test.each<[string, string, Choice]>([
    [
      "no suite of our HIT",
      "UNSUPPORTED_HIT_SUITE",
      { replace: { [P.hitSuiteList]: [tlv(P.hitSuiteList, Buffer.of(0x10))] } },
    ],
    ["no group of ours", "NO_DH_PROPOSAL_CHOSEN", { groups: [11] }],
    ["no HIP cipher of ours", "NO_HIP_PROPOSAL_CHOSEN", { cipher: 1 }],
    [
      "no transport format of ours",
      "NO_HIP_PROPOSAL_CHOSEN",
      { replace: { [P.transportFormatList]: [tlv(P.transportFormatList, u16(2050))] } },
    ],
    ["no ESP suite of ours", "NO_ESP_PROPOSAL_CHOSEN", { espSuite: 7 }],
  ])("with %s: NOTIFY %s", (_, notify, choice) => {
    const bench = exchange(choice);
    expect(lastNotify(bench)).toBe(notify);
    expect(bench.state).toBe("I1-SENT");
    expect(bench.sas).toEqual([]);
  });

  test("of a HIT that we did not call finds no association", () => {
    const bench = new Bench(ours, theirs.hit);
    const peer = new PlainResponder(theirs);
    const r1 = peer.r1(bench.connect(theirs.hit));
    stranger.hit.copy(r1, 8);
    bench.input({ type: "datagram", bytes: r1, path: bench.path() });
    expect(bench.drops().at(-1)).toBe("policy");
    expect(bench.state).toBe("I1-SENT");
  });
});

describe("an R2 (RFC 7401 6.10, RFC 7402 6.6)", () => {
  function exchange(choice: Choice, change: (r2: Buffer) => Buffer = (r2) => r2): Bench {
    const bench = new Bench(ours, theirs.hit);
    const peer = new PlainResponder(theirs, choice);
    const i2 = bench.answer(peer.r1(bench.connect(theirs.hit)));
    bench.sent.length = 0;
    bench.input({ type: "datagram", bytes: change(peer.r2(i2)), path: bench.path() });
    return bench;
  }

  test("with a wrong HIP_MAC_2 is dropped", () => {
    const bench = exchange({}, (r2) => flipped(r2, P.mac2));
    expect(bench.drops()).toContain("mac");
    expect(bench.state).toBe("I2-SENT");
  });

  test("with a wrong signature is refused, and told as an attack", () => {
    const bench = exchange({}, (r2) => flipped(r2, P.signature));
    expect(lastNotify(bench)).toBe("AUTHENTICATION_FAILED");
    expect(bench.state).toBe("I2-SENT");
    expect(bench.outputs).toContainEqual(
      expect.objectContaining({ type: "event", name: "authentication-failed" }),
    );
  });

  test.each<[string, string, Choice]>([
    ["an old SPI", "INVALID_SYNTAX", { replaceInR2: { [P.espInfo]: espInfo(NATURAL, 7, 2000) } }],
    ["no ESP_INFO", "INVALID_SYNTAX", { replaceInR2: { [P.espInfo]: [] } }],
  ])("with %s: NOTIFY %s", (_, notify, choice) => {
    const bench = exchange(choice);
    expect(lastNotify(bench)).toBe(notify);
    expect(bench.state).toBe("I2-SENT");
  });
});
