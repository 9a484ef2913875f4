/** Our associations against a second implementation that was written from the RFCs alone: UPDATE, rekeying, CLOSE. */
import { describe, expect, test } from "vitest";
import { Identity } from "../../src/crypto/identity.ts";
import { NO_UPDATES, reception, recorded } from "../../src/hip/update-state.ts";
import { Bench } from "../support/bench.ts";
import { flipped, PlainResponder, type PlainSession } from "../support/plain-exchange.ts";
import {
  addMac,
  checkMac,
  checkSignature,
  diffieHellman,
  espKeysOf,
  field,
  find,
  type Material,
  P,
  PlainIdentity,
  packet,
  read,
  TYPE,
  tlv,
} from "../support/plain-peer.ts";

const { u16, u32 } = field;
const ours = Identity.generate("ecdsa-p256");
const theirs = new PlainIdentity("rsa-2048");

interface Association {
  readonly bench: Bench;
  readonly session: PlainSession;
  /** A packet of the peer, authenticated and signed. */
  say(type: number, ...parameters: readonly Buffer[]): Buffer;
  deliver(bytes: Buffer): void;
  /** What we sent, read and checked. */
  check(bytes: Buffer | undefined): ReturnType<typeof read>;
}

function open(config = {}, seed = 7): Association {
  const bench = new Bench(ours, theirs.hit, config, seed);
  const peer = new PlainResponder(theirs);
  const i2 = bench.answer(peer.r1(bench.connect(theirs.hit)));
  const deliver = (bytes: Buffer) => bench.input({ type: "datagram", bytes, path: bench.path() });
  deliver(peer.r2(i2));
  bench.due();
  const session = peer.session as PlainSession;
  return {
    bench,
    session,
    say: (type, ...parameters) =>
      theirs.sign(
        addMac(packet(type, theirs.hit, bench.hit, parameters), session.rhash, session.keys.out.mac),
      ),
    deliver,
    check: (bytes) => {
      const received = read(bytes as Buffer);
      checkMac(received, session.rhash, session.keys.in.mac);
      checkSignature(received, session.peer.algorithm, session.peer.hostIdentity);
      return received;
    },
  };
}

const peerHit = (bench: Bench) => bench.host.associations()[0]?.peer as never;
const has = (received: ReturnType<typeof read>, type: number) =>
  received.parameters.some((one) => one.type === type);

describe("UPDATE", () => {
  test("with SEQ and an echo request is answered with both (RFC 7401 5.3.5)", () => {
    const { bench, say, check } = open();
    const echo = Buffer.from("alive?");
    const answer = check(bench.answer(say(TYPE.UPDATE, tlv(P.seq, u32(0)), tlv(P.echoRequestSigned, echo))));
    expect(answer.type).toBe(TYPE.UPDATE);
    expect(find(answer, P.ack).contents).toEqual(u32(0));
    expect(find(answer, P.echoResponseSigned).contents).toEqual(echo);
  });

  test("our first has Update ID 0; one ACK acknowledges several; an ACK alone is not answered (5.2.16, 5.3.5)", () => {
    const { bench, say, check, deliver } = open();
    bench.input({ type: "probe", peer: peerHit(bench) });
    expect(find(check(bench.sent.at(-1)), P.seq).contents).toEqual(u32(0));
    expect(bench.host.deadline()?.why).toBe("UPDATE retransmission");
    const sent = bench.sent.length;
    deliver(say(TYPE.UPDATE, tlv(P.ack, u32(9), u32(0))));
    expect(bench.host.deadline()?.why).not.toBe("UPDATE retransmission");
    expect(bench.sent.length).toBe(sent);
  });
});

describe("an UPDATE that is not taken (RFC 7401 6.12)", () => {
  const seq = (id: number) => tlv(P.seq, u32(id));

  test.each([
    ["a wrong HIP_MAC", [seq(0)], P.mac, "mac"],
    ["a wrong HIP_MAC and an ACK", [tlv(P.ack, u32(0))], P.mac, "mac"],
    ["a wrong signature", [seq(0)], P.signature, "signature"],
  ] as const)("with %s", (_, parameters, type, reason) => {
    const { bench, say, deliver } = open();
    // So that there is something to acknowledge.
    bench.input({ type: "probe", peer: peerHit(bench) });
    deliver(flipped(say(TYPE.UPDATE, ...parameters), type));
    expect(bench.drops().at(-1)).toBe(reason);
    const told = expect.objectContaining({ name: "authentication-failed" });
    if (reason === "signature") expect(bench.outputs).toContainEqual(told);
    expect(bench.host.deadline()?.why).toBe("UPDATE retransmission");
  });

  test.each([
    ["neither SEQ nor ACK", [], "update_without_seq_or_ack"],
    ["an Update ID beyond the window", [seq(65_536)], "update_window"],
    ["an Update ID before the first", [seq(0xffff_ffff)], "update_window"],
    ["an ACK of nothing", [tlv(P.ack, u32(3))], "ack_unexpected"],
  ])("with %s", (_, parameters, reason) => {
    const { bench, say, deliver } = open();
    const sent = bench.sent.length;
    deliver(say(TYPE.UPDATE, ...parameters));
    expect(bench.drops().at(-1)).toBe(reason);
    expect(bench.sent.length).toBe(sent);
  });

  test("with a critical parameter that no UPDATE may carry: it is refused, not acknowledged (5.2.1)", () => {
    const { bench, say } = open();
    const puzzle = tlv(P.puzzle, Buffer.alloc(4 + 32));
    const notify = read(bench.answer(say(TYPE.UPDATE, puzzle, seq(0))));
    expect(notify.type).toBe(TYPE.NOTIFY);
    expect(find(notify, P.notification).contents).toEqual(Buffer.of(0, 0, 0, 1, 1, 1));
  });

  test("a second time: it is acknowledged again with the same packet, if its HIP_MAC is right", () => {
    const { bench, say, deliver } = open();
    const update = say(TYPE.UPDATE, seq(0), tlv(P.echoRequestSigned, Buffer.from("once")));
    const first = bench.answer(update);
    expect(bench.answer(update)).toEqual(first);
    const sent = bench.sent.length;
    deliver(flipped(update, P.mac));
    expect(bench.drops().at(-1)).toBe("mac");
    expect(bench.sent.length).toBe(sent);
  });

  test("Update IDs go on at 0 behind 2^32 - 1", () => {
    const last = 0xffff_ffff;
    const before = recorded({ ...NO_UPDATES, expected: last }, last);
    expect(before.expected).toBe(0);
    expect(reception(before, 0)).toBe("new");
    expect(reception(before, last)).toBe("repeated");
    expect(reception(before, 65_536)).toBe("outside");
  });
});

describe("rekeying (RFC 7402 6.8 to 6.10)", () => {
  const NEW_SPI = 0x11223344;

  function expectKeys(bench: Bench, material: Material, index: number, spi: number): void {
    const keys = espKeysOf(material, index);
    const [inbound, outbound] = [bench.sa("in"), bench.sa("out")];
    expect(Buffer.from(inbound.encryptionKey)).toEqual(keys.espOut.encryption);
    expect(Buffer.from(outbound.encryptionKey)).toEqual(keys.espIn.encryption);
    expect(outbound.spi).toBe(NEW_SPI);
    expect(inbound.spi).toBe(spi);
  }

  test.each([0, 100])("from the old KEYMAT, %i bytes further, asked for by the peer", (skip) => {
    const { bench, session, say, check, deliver } = open();
    const index = session.keys.end + skip;
    const info = tlv(P.espInfo, u16(0), u16(index), u32(session.ownSpi), u32(NEW_SPI));
    const answer = check(bench.answer(say(TYPE.UPDATE, info, tlv(P.seq, u32(0)))));
    const ourInfo = find(answer, P.espInfo).contents;
    expect(ourInfo.readUInt16BE(2)).toBe(index);
    expect(ourInfo.readUInt32BE(4)).toBe(session.peerSpi);
    expect(find(answer, P.ack).contents).toEqual(u32(0));
    expect(has(answer, P.diffieHellman)).toBe(false);
    deliver(say(TYPE.UPDATE, tlv(P.ack, find(answer, P.seq).contents)));
    expectKeys(bench, session.material, index, ourInfo.readUInt32BE(8));
  });

  test("with a new Diffie-Hellman key, asked for by the peer: both keys are new", () => {
    const { bench, session, say, check } = open();
    const dh = diffieHellman(session.dh.group);
    const info = tlv(P.espInfo, u16(0), u16(0), u32(session.ownSpi), u32(NEW_SPI));
    const ourDh = find(
      check(bench.answer(say(TYPE.UPDATE, info, tlv(P.seq, u32(0)), dhParameter(dh)))),
      P.diffieHellman,
    ).contents;
    const answer = check(bench.sent.at(-1));
    const ourInfo = find(answer, P.espInfo).contents;
    expect(ourInfo.readUInt16BE(2)).toBe(0);
    const kij = dh.agree(ourDh.subarray(3));
    expectKeys(bench, { ...session.material, kij }, 0, ourInfo.readUInt32BE(8));
  });

  test.each([true, false])("asked for by us; new Diffie-Hellman key: %s", (rekeyWithDh) => {
    const { bench, session, say, check } = open({ rekeyWithDh });
    bench.input({ type: "esp", spi: bench.sa("out").spi, event: "soft-expiry" });
    const request = check(bench.sent.at(-1));
    const ourInfo = find(request, P.espInfo).contents;
    const index = rekeyWithDh ? 0 : session.keys.end;
    expect(ourInfo.readUInt16BE(2)).toBe(index);
    expect(ourInfo.readUInt32BE(4)).toBe(session.peerSpi);
    const dh = diffieHellman(session.dh.group);
    const info = tlv(P.espInfo, u16(0), u16(index), u32(session.ownSpi), u32(NEW_SPI));
    const ack = tlv(P.ack, find(request, P.seq).contents);
    const halves = [info, tlv(P.seq, u32(0)), ack, ...(rekeyWithDh ? [dhParameter(dh)] : [])];
    const done = check(bench.answer(say(TYPE.UPDATE, ...halves)));
    expect(find(done, P.ack).contents).toEqual(u32(0));
    expect(has(done, P.seq)).toBe(false);
    const kij = rekeyWithDh
      ? dh.agree(find(request, P.diffieHellman).contents.subarray(3))
      : session.material.kij;
    expectKeys(bench, { ...session.material, kij }, index, ourInfo.readUInt32BE(8));
  });

  test("a new Diffie-Hellman key of one side only meets the other's old one (6.10 step 1)", () => {
    const { bench, session, say, check } = open({ rekeyWithDh: true });
    bench.input({ type: "esp", spi: bench.sa("out").spi, event: "soft-expiry" });
    const request = check(bench.sent.at(-1));
    const info = tlv(P.espInfo, u16(0), u16(0), u32(session.ownSpi), u32(NEW_SPI));
    const ack = tlv(P.ack, find(request, P.seq).contents);
    bench.answer(say(TYPE.UPDATE, info, tlv(P.seq, u32(0)), ack));
    const kij = session.dh.agree(find(request, P.diffieHellman).contents.subarray(3));
    const spi = find(request, P.espInfo).contents.readUInt32BE(8);
    expectKeys(bench, { ...session.material, kij }, 0, spi);
  });

  test("an offer with DIFFIE_HELLMAN must have index 0 and our group (6.9 step 1)", () => {
    const { bench, session, say, deliver } = open();
    const offer = (index: number, group: number) => [
      tlv(P.espInfo, u16(0), u16(index), u32(session.ownSpi), u32(NEW_SPI)),
      dhParameter(diffieHellman(group)),
    ];
    const sent = bench.sent.length;
    deliver(say(TYPE.UPDATE, tlv(P.seq, u32(0)), ...offer(7, session.dh.group)));
    deliver(say(TYPE.UPDATE, tlv(P.seq, u32(1)), ...offer(0, 8)));
    expect(bench.drops().slice(-2)).toEqual(["rekey_dh", "rekey_dh"]);
    expect(bench.sent.length).toBe(sent);
  });

  test("an offer with DIFFIE_HELLMAN must be of an SA (RFC 8046 5.3), and its Kij a new one (RFC 7402 6.8 step 1)", () => {
    const offering = ({ session, say, deliver }: ReturnType<typeof open>) => {
      return (newSpi: number, key: ReturnType<typeof diffieHellman>): void => {
        const info = tlv(P.espInfo, u16(0), u16(0), u32(session.ownSpi), u32(newSpi));
        deliver(say(TYPE.UPDATE, tlv(P.seq, u32(0)), info, dhParameter(key)));
      };
    };
    const asked = open();
    const { bench, session } = asked;
    const fresh = diffieHellman(session.dh.group);
    const sent = bench.sent.length;
    offering(asked)(0, fresh);
    offering(asked)(0, diffieHellman(8));
    expect(bench.drops().slice(-2)).toEqual(["rekey_dh", "rekey_dh"]);
    expect(bench.sent.length).toBe(sent);
    // The peer's old key meets a new one of ours.
    offering(asked)(NEW_SPI, session.dh);
    expect(bench.sent.length).toBe(sent + 1);

    // Our own offer goes on with the old key: the peer's old one would give the old Kij.
    const crossing = open({ rekeyWithDh: false });
    crossing.bench.input({ type: "esp", spi: crossing.bench.sa("out").spi, event: "soft-expiry" });
    const before = crossing.bench.sent.length;
    offering(crossing)(NEW_SPI, crossing.session.dh);
    expect(crossing.bench.drops().at(-1)).toBe("rekey_dh");
    expect(crossing.bench.sent.length).toBe(before);
    offering(crossing)(NEW_SPI, fresh);
    expect(crossing.bench.sent.length).toBe(before + 1);
  });

  test("the new SPI is none that the peer has an SA with, until that ends (RFC 8046 5.3)", () => {
    const { bench, session, say, check, deliver } = open();
    const index = session.keys.end;
    const offer = (id: number, oldSpi: number, newSpi: number): Buffer | undefined => {
      const sent = bench.sent.length;
      const info = tlv(P.espInfo, u16(0), u16(index + id * 1_000), u32(oldSpi), u32(newSpi));
      deliver(say(TYPE.UPDATE, tlv(P.seq, u32(id)), info));
      const answer = bench.sent.length > sent ? check(bench.sent.at(-1)) : undefined;
      if (answer !== undefined) deliver(say(TYPE.UPDATE, tlv(P.ack, find(answer, P.seq).contents)));
      return answer && find(answer, P.espInfo).contents;
    };
    offer(0, session.ownSpi, NEW_SPI);
    expect(bench.sa("out").spi).toBe(NEW_SPI);
    expect(offer(1, NEW_SPI, session.ownSpi)).toBeUndefined();
    expect(bench.drops().at(-1)).toBe("rekey_spi");
    bench.now = (bench.now + 10_000) as never;
    bench.input({ type: "timeout" });
    expect(offer(1, NEW_SPI, session.ownSpi)).toBeDefined();
    expect(bench.sa("out").spi).toBe(session.ownSpi);
  });
});

describe("SPIs and SAs (RFC 7402 3.2.1, 3.3.1, 6.7, 6.8)", () => {
  test("each exchange has SPIs of its own, outside of the reserved range", () => {
    const spis = new Set<number>();
    for (let seed = 1; seed <= 20; seed++) {
      spis.add(open({}, seed).bench.sa("in").spi);
    }
    expect(spis.size).toBe(20);
    for (const spi of spis) expect(spi).toBeGreaterThan(255);
  });

  test("both SAs go when the peer closes", () => {
    const { bench, say } = open();
    bench.answer(say(TYPE.CLOSE, tlv(P.echoRequestSigned, Buffer.of(1))));
    for (const direction of ["in", "out"] as const) {
      const { spi } = bench.sa(direction);
      expect(bench.outputs).toContainEqual(expect.objectContaining({ type: "sa-drop", direction, spi }));
    }
  });

  test("a request for new keys that is acknowledged but never answered ends after a minute; the old SAs stay", () => {
    const { bench, say, check, deliver } = open();
    const before = bench.sa("out").spi;
    bench.input({ type: "esp", spi: before, event: "soft-expiry" });
    deliver(say(TYPE.UPDATE, tlv(P.ack, find(check(bench.sent.at(-1)), P.seq).contents)));
    bench.now = (bench.now + 60_000) as never;
    bench.input({ type: "timeout" });
    expect(bench.outputs).toContainEqual(expect.objectContaining({ name: "rekey-failed" }));
    expect(bench.sa("out").spi).toBe(before);
    expect(bench.state).toBe("ESTABLISHED");
    expect(bench.outputs.some(({ type }) => type === "sa-drop")).toBe(false);
  });
});

function dhParameter(dh: ReturnType<typeof diffieHellman>): Buffer {
  return tlv(P.diffieHellman, Buffer.of(dh.group), u16(dh.publicValue.length), dh.publicValue);
}

describe("CLOSE (RFC 7401 5.3.7, 5.3.8)", () => {
  test("is answered with CLOSE_ACK and the same echo", () => {
    const { bench, say, check } = open();
    const ack = check(bench.answer(say(TYPE.CLOSE, tlv(P.echoRequestSigned, Buffer.from("farewell")))));
    expect(ack.type).toBe(TYPE.CLOSE_ACK);
    expect(find(ack, P.echoResponseSigned).contents).toEqual(Buffer.from("farewell"));
    expect(bench.state).toBe("CLOSED");
  });

  test("of ours ends with a CLOSE_ACK that has our echo, and with no other", () => {
    const { bench, say, check, deliver } = open();
    bench.input({ type: "close", peer: peerHit(bench) });
    const close = check(bench.sent.at(-1));
    expect(close.type).toBe(TYPE.CLOSE);
    const echo = find(close, P.echoRequestSigned).contents;
    deliver(say(TYPE.CLOSE_ACK, tlv(P.echoResponseSigned, Buffer.alloc(echo.length))));
    expect(bench.state).toBe("CLOSING");
    deliver(say(TYPE.CLOSE_ACK, tlv(P.echoResponseSigned, echo)));
    expect(bench.state).toBe("UNASSOCIATED");
  });
});
