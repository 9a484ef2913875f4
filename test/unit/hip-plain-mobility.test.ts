/** Mobility against a second implementation that was written from the RFCs alone (RFC 8046, 8047 4.2.8, RFC 9028 5.7). */

import { describe, expect, test } from "vitest";
import type { Instant } from "../../src/core/types.ts";
import { Bench } from "../support/bench.ts";
import { PlainInitiator, PlainResponder } from "../support/plain-exchange.ts";
import {
  LOCATOR_SET,
  MAPPED_ADDRESS,
  MAPPED_PREFIX,
  ours,
  own,
  plainSet,
  type Sent,
  Story,
  theirs,
  transportSet,
  typesOf,
  v4,
} from "../support/plain-mobile.ts";
import { decrypted, field, find, P, readParameters, TYPE, tlv } from "../support/plain-peer.ts";

const { u32 } = field;
const NEW = "203.0.113.77";

describe("a peer that moves", () => {
  test.each([
    ["LOCATOR_SET inside ENCRYPTED, over UDP", "udp"],
    ["LOCATOR_SET in the clear, without UDP", "none"],
  ] as const)("is asked at its new address, and followed when it answers: %s", (_, carrier) => {
    const story = new Story(carrier);
    const { ownSpi } = story.session;
    const set =
      carrier === "udp"
        ? story.hidden(transportSet(ownSpi, 10500, { address: NEW, preferred: true }))
        : plainSet(ownSpi, { address: NEW, preferred: true });
    const sent = story.update(NEW, story.info, set);
    expect(sent).toHaveLength(1);
    const [question] = sent as [Sent];
    expect(question.path.remote.address).toBe(NEW);
    // RFC 8046 3.2.1 step 2.
    const mapped = carrier === "udp" ? [MAPPED_ADDRESS] : [];
    expect(typesOf(question)).toEqual([
      P.espInfo,
      P.seq,
      P.ack,
      P.echoRequestSigned,
      ...mapped,
      P.mac,
      P.signature,
    ]);
    const info = find(question.parsed, P.espInfo).contents;
    expect(info.subarray(4, 8)).toEqual(info.subarray(8, 12));
    expect(info.readUInt32BE(4)).toBe(story.bench.sa("in").spi);
    expect(story.told).toEqual([`${NEW} on credit`]);

    const nonce = find(question.parsed, P.echoRequestSigned).contents;
    const id = find(question.parsed, P.seq).contents;
    const quiet = story.deliver(story.say(tlv(P.ack, id), tlv(P.echoResponseSigned, nonce)), NEW);
    expect(quiet).toEqual([]);
    expect(story.told).toEqual([`${NEW} on credit`, NEW]);
  });

  test("an echo that is not ours verifies nothing", () => {
    const story = new Story("none");
    const [question] = story.update(NEW, story.info, plainSet(story.session.ownSpi, { address: NEW }));
    const id = find((question as Sent).parsed, P.seq).contents;
    story.deliver(story.say(tlv(P.ack, id), tlv(P.echoResponseSigned, Buffer.alloc(16))), NEW);
    expect(story.told).toEqual([`${NEW} on credit`]);
  });

  test("a LOCATOR_SET that keeps the old address moves nothing, and the new one is asked (RFC 8046 5.3)", () => {
    const story = new Story("none");
    const old = story.bench.path().remote.address;
    const set = plainSet(story.session.ownSpi, { address: old, preferred: true }, { address: NEW });
    const sent = story.update(old, story.info, set);
    expect(sent.map(({ path }) => path.remote.address)).toEqual([old, NEW]);
    expect(typesOf(sent[0] as Sent)).toContain(P.ack);
    expect(typesOf(sent[1] as Sent)).toContain(P.echoRequestSigned);
    expect(story.told).toEqual([]);
    // The same one again is not processed (5.3).
    expect(story.update(old, story.info, set).map((one) => typesOf(one).includes(P.seq))).toEqual([false]);
  });

  test("an empty one leaves the peer where its packet came from", () => {
    const story = new Story("none");
    const old = story.bench.path().remote.address;
    story.update(old, story.info, plainSet(story.session.ownSpi));
    expect(story.told).toEqual([]);
    expect(story.bench.state).toBe("ESTABLISHED");
  });

  test("a preferred locator of a type that nobody knows is told (5.3)", () => {
    const story = new Story("none");
    const odd = tlv(LOCATOR_SET, Buffer.of(0, 9, 1, 1), u32(100), u32(0xdeadbeef));
    const sent = story.update("192.0.2.9", story.info, odd);
    const notify = sent.find(({ parsed }) => parsed.type === TYPE.NOTIFY) as Sent;
    const contents = find(notify.parsed, P.notification).contents;
    expect(contents.readUInt16BE(2)).toBe(46);
    expect(contents.subarray(4)).toEqual(u32(0xdeadbeef));
  });

  test("what ENCRYPTED holds must decrypt, and hold nothing critical that nobody knows", () => {
    const story = new Story();
    const unknown = story.update("192.0.2.9", story.hidden(tlv(0x0bb9, u32(1))));
    expect(unknown.map(({ parsed }) => parsed.type)).toEqual([TYPE.NOTIFY]);
    const torn = tlv(641, u32(0), Buffer.alloc(16 + 15));
    const refused = story.update("192.0.2.9", torn);
    expect(refused.map(({ parsed }) => parsed.type)).toEqual([TYPE.NOTIFY]);
    expect(story.bench.drops().slice(-1)).toEqual(["decryption"]);
  });
});

describe("when we move", () => {
  test("the peer reads in ENCRYPTED where we are", () => {
    const story = new Story();
    story.bench.input({ type: "locators", own: [own("198.51.100.1")] });
    const before = story.bench.outputs.length;
    story.bench.input({ type: "locators", own: [own("198.51.100.2"), own("2001:db8::2")] });
    const [news] = story.sentSince(before) as [Sent];
    expect(news.path.local.address).toBe("198.51.100.2");
    const contents = find(news.parsed, 641).contents;
    const inside = decrypted(story.session.cipher, story.session.keys.in.encryption, contents);
    const [set] = readParameters(inside);
    expect(set?.type).toBe(LOCATOR_SET);
    const bytes = set?.contents as Buffer;
    expect(bytes.length).toBe(2 * 36);
    // Traffic Type 0, Locator Type 2, 7 words, P; no end; our port and UDP, a host locator.
    expect(bytes.subarray(0, 8)).toEqual(Buffer.of(0, 2, 7, 1, 255, 255, 255, 255));
    expect(bytes.readUInt16BE(8)).toBe(10500);
    expect(bytes.subarray(10, 12)).toEqual(Buffer.of(17, 0));
    // RFC 8445 5.1.2.1: 2^24 * 126 + 2^8 * preference + 255.
    expect(bytes.readUInt32BE(12)).toBe(2 ** 24 * 126 + 2 ** 8 * 65_000 + 255);
    expect(bytes.readUInt32BE(16)).toBe(story.bench.sa("in").spi);
    expect(bytes.subarray(20, 36)).toEqual(Buffer.concat([MAPPED_PREFIX, v4("198.51.100.2")]));
    expect(bytes[36 + 3]).toBe(0);
    expect(bytes.subarray(56, 58)).toEqual(Buffer.of(0x20, 0x01));
  });

  test("it hears of an address that goes on being ours before its lifetime ends, though nothing else changed", () => {
    const story = new Story("none");
    const lasting = [{ ...own("198.51.100.2"), lifetime: 90 }];
    const told = (): number => {
      const before = story.bench.outputs.length;
      story.bench.input({ type: "locators", own: lasting });
      const sent = story.sentSince(before);
      for (const one of sent) story.echo(one, "192.0.2.9");
      return sent.filter((one) => typesOf(one).includes(LOCATOR_SET)).length;
    };
    expect(told()).toBe(1);
    expect(told()).toBe(0);
    story.pass(60_000);
    expect(told()).toBe(1);
    expect(told()).toBe(0);
  });

  test("a link-local address is not told a peer that is elsewhere (RFC 8047 5.1)", () => {
    const story = new Story("none");
    const before = story.bench.outputs.length;
    const all = ["198.51.100.2", "169.254.7.7", "fe80::7", "2001:db8::2"];
    story.bench.input({ type: "locators", own: all.map(own) });
    const [news] = story.sentSince(before) as [Sent];
    const { contents } = find(news.parsed, LOCATOR_SET);
    // Type 1: 8 bytes of header, SPI, address.
    const told = [0, 1].map((at) => contents.subarray(28 * at + 12, 28 * at + 28).toString("hex"));
    expect(told).toEqual(["00000000000000000000ffffc6336402", "20010db8000000000000000000000002"]);
    expect(contents.length).toBe(2 * 28);
  });

  test("the peer's answer without ESP_INFO or MAPPED_ADDRESS is enough", () => {
    const story = new Story();
    const before = story.bench.outputs.length;
    story.bench.input({ type: "locators", own: [own("198.51.100.2")] });
    const [news] = story.sentSince(before) as [Sent];
    const id = find(news.parsed, P.seq).contents;
    const echo = find(news.parsed, P.echoRequestSigned).contents;
    story.deliver(story.say(tlv(P.ack, id), tlv(P.echoResponseSigned, echo)), "192.0.2.9");
    const told = story.bench.outputs.filter((one) => one.type === "event" && one.name === "handover");
    expect(told).toHaveLength(1);
  });
});

describe("locators in the base exchange (RFC 8047 4.2.8)", () => {
  test("the I2 goes to the preferred one of the R1, which is believed; others are asked afterwards", () => {
    const bench = new Bench(ours, theirs.hit, {}, 7, "none");
    const set = plainSet(0, { address: NEW, preferred: true }, { address: "203.0.113.78" });
    const peer = new PlainResponder(theirs, { extra: [set] });
    const i2 = bench.answer(peer.r1(bench.connect(theirs.hit)));
    const sends = (): readonly string[] =>
      bench.outputs.flatMap((one) => (one.type === "send" ? [one.path.remote.address] : []));
    expect(sends().at(-1)).toBe(NEW);
    const path = { ...bench.path(), remote: { address: NEW, port: 0 } };
    bench.input({ type: "datagram", bytes: peer.r2(i2), path });
    expect(bench.state).toBe("ESTABLISHED");
    const locators = bench.host.peerLocators(theirs.hit.toString("hex") as never);
    expect(locators.map(({ endpoint, status }) => [endpoint.address, status])).toEqual([
      [NEW, "ACTIVE"],
      ["203.0.113.78", "UNVERIFIED"],
    ]);
    // What waits for the association goes first.
    expect(sends().at(-1)).toBe(NEW);
    expect(bench.host.deadline()).toMatchObject({ at: bench.now, why: "locators" });
    bench.due();
    expect(sends().at(-1)).toBe("203.0.113.78");
  });

  test("the I2 does not go to one that is preferred for data alone (RFC 8046 4.1, RFC 9028 4.7.2)", () => {
    const other = "203.0.113.78";
    for (const [both, expected] of [
      [[], undefined],
      [[{ address: other, preferred: true }], other],
      [[{ address: NEW, preferred: true }], NEW],
    ] as const) {
      const bench = new Bench(ours, theirs.hit, {}, 7, "none");
      const set = plainSet(0, { address: NEW, preferred: true, traffic: 2 }, ...both);
      const peer = new PlainResponder(theirs, { extra: [set] });
      const i2 = bench.answer(peer.r1(bench.connect(theirs.hit)));
      const sent = bench.outputs.findLast((one) => one.type === "send");
      const there = expected ?? bench.path().remote.address;
      expect(sent?.type === "send" ? sent.path.remote.address : "").toBe(there);
      bench.input({
        type: "datagram",
        bytes: peer.r2(i2),
        path: { ...bench.path(), remote: { address: there, port: 0 } },
      });
      const known = bench.host.peerLocators(theirs.hit.toString("hex") as never);
      expect(known.find(({ endpoint }) => endpoint.address === NEW)).toMatchObject({
        preferred: true,
        status: there === NEW ? "ACTIVE" : "UNVERIFIED",
      });
    }
  });

  test("an R1 that came by way of a rendezvous server that was called is answered at its source, then as without", () => {
    const there = "198.51.100.7";
    const called = "192.0.2.9";
    const mapped = (address: string) =>
      Buffer.concat([Buffer.alloc(10), Buffer.from([255, 255]), Buffer.from(address.split(".").map(Number))]);
    for (const [via, first] of [
      [called, there],
      ["192.0.2.10", called],
    ] as const) {
      const bench = new Bench(ours, theirs.hit, {}, 7, "none");
      const peer = new PlainResponder(theirs, { behind: [tlv(65502, mapped(via))] });
      const r1 = peer.r1(bench.connect(theirs.hit));
      bench.input({
        type: "datagram",
        bytes: r1,
        path: { ...bench.path(), remote: { address: there, port: 0 } },
      });
      const sent = (): string | undefined =>
        bench.outputs.flatMap((one) => (one.type === "send" ? [one.path.remote.address] : [])).at(-1);
      expect(sent()).toBe(first);
      bench.now = (bench.now + 3_000) as Instant;
      bench.input({ type: "timeout" });
      expect(sent()).toBe(called);
    }
  });

  test("an I2 that is not answered there goes back to where the R1 came from, and the association with it", () => {
    const bench = new Bench(ours, theirs.hit, {}, 7, "none");
    const peer = new PlainResponder(theirs, { extra: [plainSet(0, { address: NEW, preferred: true })] });
    const i2 = bench.answer(peer.r1(bench.connect(theirs.hit)));
    const there = bench.path().remote.address;
    const sent = (): readonly string[] =>
      bench.outputs.flatMap((one) => (one.type === "send" ? [one.path.remote.address] : []));
    expect(sent().at(-1)).toBe(NEW);
    const later = (): void => {
      bench.now = (bench.now + 3_000) as Instant;
      bench.input({ type: "timeout" });
    };
    later();
    expect(sent().at(-1)).toBe(there);
    later();
    expect(sent().at(-1)).toBe(NEW);
    bench.input({ type: "datagram", bytes: peer.r2(i2), path: bench.path() });
    expect(bench.state).toBe("ESTABLISHED");
    expect(bench.host.paths(theirs.hit.toString("hex") as never)[0]?.path.remote.address).toBe(there);
  });

  test("the R2 goes where the I2 came from, whatever the I2 lists; that is asked when the association stands", () => {
    const bench = new Bench(ours, theirs.hit, {}, 7, "none");
    const set = plainSet(0, { address: "192.0.2.9", preferred: true }, { address: NEW });
    const peer = new PlainInitiator(theirs, { extra: [set] });
    const r1 = bench.answer(peer.i1(bench.hit));
    bench.answer(peer.i2(r1, bench.hit));
    const last = bench.outputs.findLast((one) => one.type === "send");
    expect(last?.type === "send" ? last.path.remote.address : "").toBe("192.0.2.9");
    bench.input({ type: "esp", spi: bench.sa("in").spi, event: "first-inbound" });
    const asked = bench.outputs.findLast((one) => one.type === "send");
    expect(asked?.type === "send" ? asked.path.remote.address : "").toBe(NEW);
  });
});
