/** Our protocol against a second implementation that was written from the RFCs alone (test/support/plain-peer.ts). */
import { describe, expect, test } from "vitest";
import { Identity } from "../../src/crypto/identity.ts";
import { Bench } from "../support/bench.ts";
import { type Choice, PlainInitiator, PlainResponder, type PlainSession } from "../support/plain-exchange.ts";
import {
  checkSignature,
  find,
  P,
  PlainIdentity,
  type PlainKind,
  read,
  TYPE,
  tlv,
} from "../support/plain-peer.ts";

const KINDS: readonly PlainKind[] = ["ecdsa-p256", "ecdsa-p384", "rsa-2048"];
const plainIdentities = new Map(KINDS.map((kind) => [kind, new PlainIdentity(kind)]));
const ours = new Map(KINDS.map((kind) => [kind, Identity.generate(kind)]));
const theirs = (kind: PlainKind) => plainIdentities.get(kind) as PlainIdentity;
const own = (kind: PlainKind) => ours.get(kind) as Identity;

function expectSameKeys(bench: Bench, session: PlainSession): void {
  const [inbound, outbound] = [bench.sa("in"), bench.sa("out")];
  expect(Buffer.from(inbound.encryptionKey)).toEqual(session.keys.espOut.encryption);
  expect(Buffer.from(inbound.integrityKey)).toEqual(session.keys.espOut.integrity);
  expect(Buffer.from(outbound.encryptionKey)).toEqual(session.keys.espIn.encryption);
  expect(Buffer.from(outbound.integrityKey)).toEqual(session.keys.espIn.integrity);
  expect(inbound.spi).toBe(session.peerSpi);
  expect(outbound.spi).toBe(session.ownSpi);
  expect(outbound.suite).toBe(session.espSuite);
}

function asResponder(
  kind: PlainKind,
  plainKind: PlainKind,
  choice: Choice = {},
  config = {},
): { bench: Bench; peer: PlainInitiator } {
  const bench = new Bench(own(kind), theirs(plainKind).hit, config);
  const peer = new PlainInitiator(theirs(plainKind), choice);
  const r1 = bench.answer(peer.i1(bench.hit));
  peer.acceptR2(bench.answer(peer.i2(r1, bench.hit)));
  return { bench, peer };
}

function asInitiator(
  kind: PlainKind,
  plainKind: PlainKind,
  choice: Choice = {},
  config = {},
): { bench: Bench; peer: PlainResponder } {
  const bench = new Bench(own(kind), theirs(plainKind).hit, config);
  const peer = new PlainResponder(theirs(plainKind), choice);
  const i2 = bench.answer(peer.r1(bench.connect(theirs(plainKind).hit)));
  bench.input({ type: "datagram", bytes: peer.r2(i2), path: bench.path() });
  expect(bench.state).toBe("ESTABLISHED");
  return { bench, peer };
}

const sessionOf = (peer: PlainInitiator | PlainResponder) => peer.session as PlainSession;

describe.each(KINDS)("with our %s", (kind) => {
  test.each(KINDS)("a plain %s Initiator and we derive the same keys", (plainKind) => {
    const { bench, peer } = asResponder(kind, plainKind);
    expect(bench.state).toBe("R2-SENT");
    expectSameKeys(bench, sessionOf(peer));
  });

  test.each(KINDS)("a plain %s Responder and we derive the same keys", (plainKind) => {
    const { bench, peer } = asInitiator(kind, plainKind);
    expectSameKeys(bench, sessionOf(peer));
  });
});

describe.each([7, 8, 9, 4, 3])("Diffie-Hellman group %i", (group) => {
  test("we answer with it", () => {
    const { bench, peer } = asResponder("ecdsa-p256", "ecdsa-p256", { groups: [group] });
    expectSameKeys(bench, sessionOf(peer));
  });

  test("we take it", () => {
    const { bench, peer } = asInitiator("ecdsa-p256", "ecdsa-p256", { group });
    expectSameKeys(bench, sessionOf(peer));
  });
});

describe.each([2, 4])("HIP cipher %i", (cipher) => {
  test.each([true, false])("HOST_ID encrypted: %s", (encrypt) => {
    expectSameKeys(...pairOf(asResponder("ecdsa-p256", "rsa-2048", { cipher, encrypt })));
    expectSameKeys(
      ...pairOf(asInitiator("rsa-2048", "ecdsa-p256", { cipher, encrypt }, { encryptHostId: encrypt })),
    );
  });
});

test.each([13, 12, 9, 8])("ESP suite %i", (espSuite) => {
  expectSameKeys(...pairOf(asResponder("ecdsa-p256", "ecdsa-p256", { espSuite })));
  expectSameKeys(...pairOf(asInitiator("ecdsa-p256", "ecdsa-p256", { espSuite })));
});

test("HOST_IDs of every length modulo the cipher's block pass through ENCRYPTED", () => {
  for (let length = 1; length <= 16; length++) {
    const domain = Buffer.concat([Buffer.of(length), Buffer.alloc(length, "x"), Buffer.of(0)]);
    const { bench } = asResponder("ecdsa-p256", "ecdsa-p256", { domain });
    expect(bench.host.associations()[0]?.peerDomain).toBe("x".repeat(length));
  }
});

test("without R1_COUNTER, and with NAT_TRAVERSAL_MODE", () => {
  expectSameKeys(...pairOf(asInitiator("ecdsa-p256", "ecdsa-p256", { counter: false, natMode: true })));
  expectSameKeys(...pairOf(asResponder("ecdsa-p256", "ecdsa-p256", { natMode: true })));
});

test("what is unknown and not critical is passed over, in R1 and in I2 (5.2.1)", () => {
  const extra = [
    tlv(962, Buffer.from("handshake")),
    tlv(4098, Buffer.from("signed")),
    tlv(40_002, Buffer.from("private")),
  ];
  expectSameKeys(...pairOf(asInitiator("ecdsa-p256", "ecdsa-p256", { extra })));
  expectSameKeys(...pairOf(asResponder("ecdsa-p256", "ecdsa-p256", { extra })));
});

test("what is unknown and critical ends the exchange, and after the puzzle a NOTIFY says so (5.2.19)", () => {
  const extra = [tlv(4099, Buffer.from("critical"))];
  const bench = new Bench(own("ecdsa-p256"), theirs("ecdsa-p256").hit);
  const peer = new PlainInitiator(theirs("ecdsa-p256"), { extra });
  const r1 = bench.answer(peer.i1(bench.hit));
  const notify = read(bench.answer(peer.i2(r1, bench.hit)));
  expect(notify.type).toBe(TYPE.NOTIFY);
  expect(find(notify, P.notification).contents).toEqual(Buffer.from([0, 0, 0, 1, 4099 >> 8, 4099 & 255]));
  checkSignature(notify, 7, Buffer.from(own("ecdsa-p256").hostIdentity));
  expect(bench.state).toBe("UNASSOCIATED");
});

function pairOf({
  bench,
  peer,
}: {
  bench: Bench;
  peer: PlainInitiator | PlainResponder;
}): [Bench, PlainSession] {
  return [bench, sessionOf(peer)];
}
