import { describe, expect, test } from "vitest";
import { utf8 } from "../../src/core/bytes.ts";
import type { Carrier } from "../../src/core/types.ts";
import { espKeys, Keymat } from "../../src/crypto/keymat.ts";
import type { Agreement } from "../../src/hip/job.ts";
import { i1 } from "../../src/hip/messages.ts";
import { append, get, getAll, has, MAX_PACKET_BYTES, raw } from "../../src/wire/packet.ts";
import type { DraftParameter } from "../../src/wire/parameter.ts";
import { HIPD_LSI_SPI } from "../../src/wire/private.ts";
import {
  ECHO_REQUEST_SIGNED,
  ECHO_REQUEST_UNSIGNED,
  ECHO_RESPONSE_SIGNED,
  ECHO_RESPONSE_UNSIGNED,
  HIP_SIGNATURE,
  NOTIFICATION,
  SEQ,
  TRANSPORT_FORMAT_LIST,
} from "../../src/wire/rfc7401.ts";
import { ESP_INFO } from "../../src/wire/rfc7402.ts";
import { NAT_TRAVERSAL_MODE } from "../../src/wire/rfc9028.ts";
import {
  changed,
  changeR1s,
  i2Of,
  r1Of,
  read,
  remade,
  replacing,
  sealed,
  without,
} from "../support/packets.ts";
import { identity, Pair } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";

const config = { dhGroups: [7] };
/** Types that nothing declares. */
const CRITICAL: DraftParameter = { type: 3071, contents: Uint8Array.of(1, 2, 3) };
const OPTIONAL: DraftParameter = { type: 3070, contents: Uint8Array.of(1, 2, 3) };

describe("ECHO_REQUEST in R1 (RFC 7401 5.2.20, 5.2.21)", () => {
  test("signed: the same bytes come back signed in the I2", () => {
    const pair = new Pair({ config });
    const data = utf8("state of the Responder");
    changeR1s(pair, pair.b, replacing(ECHO_REQUEST_SIGNED.of({ data })));
    pair.establish();
    expect(get(read(pair.sent(pair.a, "I2")), ECHO_RESPONSE_SIGNED)?.data).toEqual(data);
    expect(unusable(pair)).toEqual([]);
  });

  test("unsigned: each one comes back behind the signature, in order", () => {
    const pair = new Pair({ config });
    const requests = ["one", "", "three"].map(utf8);
    changeR1s(
      pair,
      pair.b,
      (all) => all,
      requests.map((data) => ECHO_REQUEST_UNSIGNED.of({ data })),
    );
    pair.establish();
    const i2 = read(pair.sent(pair.a, "I2"));
    expect(getAll(i2, ECHO_RESPONSE_UNSIGNED).map(({ data }) => data)).toEqual(requests);
    const signature = raw(i2, HIP_SIGNATURE)?.offset ?? 0;
    expect(raw(i2, ECHO_RESPONSE_UNSIGNED)?.offset).toBeGreaterThan(signature);
  });

  test("one that a middlebox adds on the way is answered, too", () => {
    const pair = new Pair({ config });
    const data = utf8("middlebox");
    pair.filter = ({ name, bytes }) => name !== "R1" || append(bytes, [ECHO_REQUEST_UNSIGNED.of({ data })]);
    pair.establish();
    expect(get(read(pair.sent(pair.a, "I2")), ECHO_RESPONSE_UNSIGNED)?.data).toEqual(data);
  });

  test("more of them than fit into one packet do not spoil it", () => {
    const pair = new Pair({ a: [identity("rsa-2048", 7)], config });
    const data = new Uint8Array(200).fill(7);
    const requests = Array.from({ length: 7 }, () => ECHO_REQUEST_UNSIGNED.of({ data }));
    pair.filter = ({ name, bytes }) => name !== "R1" || append(bytes, requests);
    pair.establish();
    const i2 = pair.sent(pair.a, "I2");
    expect(i2?.length).toBeLessThanOrEqual(MAX_PACKET_BYTES);
    expect(getAll(read(i2), ECHO_RESPONSE_UNSIGNED).length).toBeGreaterThan(2);
    expect(getAll(read(i2), ECHO_RESPONSE_UNSIGNED).length).toBeLessThan(7);
    expect(unusable(pair)).toEqual([]);
  });

  test("without a request there is no response", () => {
    const pair = new Pair({ config }).establish();
    const i2 = read(pair.sent(pair.a, "I2"));
    expect(has(i2, ECHO_RESPONSE_SIGNED) || has(i2, ECHO_RESPONSE_UNSIGNED)).toBe(false);
  });
});

describe("ECHO_REQUEST in other packets (5.2.20, 5.2.21)", () => {
  const signed = ECHO_REQUEST_SIGNED.of({ data: utf8("signed") });
  const unsigned = ["one", "two"].map((text) => ECHO_REQUEST_UNSIGNED.of({ data: utf8(text) }));

  function expectAnswered(bytes: Uint8Array | undefined, withSigned: boolean): void {
    const packet = read(bytes);
    if (withSigned) expect(get(packet, ECHO_RESPONSE_SIGNED)?.data).toEqual(utf8("signed"));
    const texts = getAll(packet, ECHO_RESPONSE_UNSIGNED).map(({ data }) => Buffer.from(data).toString());
    expect(texts).toEqual(["one", "two"]);
  }

  test("an I2 is answered in the R2", () => {
    const pair = new Pair({ config });
    const i2 = remade(pair.a, i2Of(pair.a, r1Of(pair, pair.b, pair.a)), replacing(signed));
    pair.deliver(pair.b, append(i2, unsigned));
    expect(pair.b.state(pair.a)).toBe("R2-SENT");
    expectAnswered(pair.sent(pair.b, "R2"), true);
  });

  test("an UPDATE is answered in the ACK, a CLOSE in the CLOSE_ACK", () => {
    const pair = new Pair({ config }).establish();
    pair.filter = () => false;
    const update = sealed(pair.b, pair.a.hit, "UPDATE", [SEQ.of({ updateId: 0 }), signed]);
    pair.deliver(pair.a, append(update, unsigned));
    expectAnswered(pair.sent(pair.a, "UPDATE"), true);
    pair.deliver(pair.a, append(sealed(pair.b, pair.a.hit, "CLOSE", [signed]), unsigned));
    expectAnswered(pair.sent(pair.a, "CLOSE_ACK"), true);
  });
});

describe("NAT_TRAVERSAL_MODE (RFC 9028 4.3, 5.4)", () => {
  test.each<[Carrier, readonly number[] | undefined]>([
    ["udp", [1]],
    ["none", undefined],
  ])("on carrier %s: %j in R1 and I2", (carrier, modes) => {
    const pair = new Pair({ config, carrier }).establish();
    expect(get(read(pair.sent(pair.b, "R1")), NAT_TRAVERSAL_MODE)?.modes).toEqual(modes);
    expect(get(read(pair.sent(pair.a, "I2")), NAT_TRAVERSAL_MODE)?.modes).toEqual(modes);
    expect(pair.flights.map(({ path }) => path.carrier)).toEqual(pair.flights.map(() => carrier));
    expect(pair.a.sa("out")?.path.carrier).toBe(carrier);
    expect(unusable(pair)).toEqual([]);
  });

  test("an R1 without it is answered by an I2 without it", () => {
    const pair = new Pair({ config });
    changeR1s(pair, pair.b, without(NAT_TRAVERSAL_MODE.type));
    pair.establish();
    expect(has(read(pair.sent(pair.a, "I2")), NAT_TRAVERSAL_MODE)).toBe(false);
  });

  test("of several modes ours is chosen", () => {
    const pair = new Pair({ config });
    changeR1s(pair, pair.b, replacing(NAT_TRAVERSAL_MODE.of({ modes: [3, 1] })));
    pair.establish();
    expect(get(read(pair.sent(pair.a, "I2")), NAT_TRAVERSAL_MODE)?.modes).toEqual([1]);
  });
});

describe("TRANSPORT_FORMAT_LIST (RFC 7401 5.2.11)", () => {
  test("is ESP in R1 and I2", () => {
    const pair = new Pair({ config }).establish();
    for (const [node, name] of [
      [pair.b, "R1"],
      [pair.a, "I2"],
    ] as const) {
      expect(get(read(pair.sent(node, name)), TRANSPORT_FORMAT_LIST)?.formats).toEqual([4095]);
    }
  });

  test("of several formats ESP is chosen", () => {
    const pair = new Pair({ config });
    changeR1s(pair, pair.b, replacing(TRANSPORT_FORMAT_LIST.of({ formats: [4093, 4095] })));
    pair.establish();
    expect(get(read(pair.sent(pair.a, "I2")), TRANSPORT_FORMAT_LIST)?.formats).toEqual([4095]);
  });
});

describe("the private parameter HIPD_LSI_SPI", () => {
  test.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])("Initiator offers: %j, Responder offers: %j; both or none", (ours, theirs) => {
    const pair = new Pair({
      config,
      configA: { offerLsiSpi: ours },
      configB: { offerLsiSpi: theirs },
    }).establish();
    const both = ours && theirs;
    expect(has(read(pair.sent(pair.a, "I2")), HIPD_LSI_SPI)).toBe(both);
    expect(has(read(pair.sent(pair.b, "R2")), HIPD_LSI_SPI)).toBe(both);
    for (const node of [pair.a, pair.b]) {
      for (const sa of node.sas.values()) {
        expect(sa.lsiSpi !== undefined).toBe(both);
        expect(sa.lsiSpi).not.toBe(sa.spi);
      }
    }
    expect(unusable(pair)).toEqual([]);
    // New keys change nothing about it.
    pair.input(pair.a, { type: "esp", spi: pair.a.sa("out")?.spi as never, event: "soft-expiry" });
    pair.run(() => pair.a.events("association-rekeyed").length === 1);
    expect(pair.a.sa("in")?.lsiSpi !== undefined).toBe(both);
    expect(pair.b.sa("in")?.lsiSpi !== undefined).toBe(both);
  });

  test("a reserved SPI in it is no SPI", () => {
    const pair = new Pair({ config });
    const i2 = i2Of(pair.a, r1Of(pair, pair.b, pair.a));
    pair.deliver(pair.b, remade(pair.a, i2, replacing(HIPD_LSI_SPI.of({ lsiSpi: 255 }))));
    expect(pair.b.state(pair.a)).toBe("R2-SENT");
    expect(pair.b.sa("out")?.lsiSpi).toBeUndefined();
  });
});

describe("unknown parameters (5.2.1)", () => {
  test("that are not critical are skipped in every packet of the exchange", () => {
    const pair = new Pair({ config });
    changeR1s(pair, pair.b, replacing(OPTIONAL));
    pair.filter = ({ name, bytes }) => name !== "I1" || changed(bytes, replacing(OPTIONAL));
    const i2 = remade(pair.a, i2Of(pair.a, r1Of(pair, pair.b, pair.a)), replacing(OPTIONAL));
    pair.connect(pair.a);
    pair.run(() => pair.a.state(pair.b) === "I2-SENT");
    pair.filter = () => false;
    pair.deliver(pair.b, i2);
    expect(pair.b.state(pair.a)).toBe("R2-SENT");
    expect(problemsOf(pair)).toEqual([]);
  });

  test("that are critical: an I1 is dropped silently (6.7.2)", () => {
    const pair = new Pair({ config });
    pair.deliver(pair.b, changed(i1(pair.a.hit, pair.b.hit, [7]), replacing(CRITICAL)));
    expect(pair.b.drops("unknown_critical_parameter")).toBe(1);
    expect(pair.flights).toEqual([]);
  });

  test("that are critical: an R1 is dropped silently (6.8.1) and the exchange fails in the end", () => {
    const pair = new Pair({ config });
    changeR1s(pair, pair.b, replacing(CRITICAL));
    pair.connect(pair.a);
    pair.run(() => pair.a.state(pair.b) === "E-FAILED", 60_000);
    expect(pair.a.drops("unknown_critical_parameter")).toBeGreaterThan(0);
    expect(pair.count("I2") + pair.count("NOTIFY")).toBe(0);
  });

  test("that are critical, in a NOTIFY: it says nothing", () => {
    const pair = new Pair({ config }).establish();
    const parameters = [NOTIFICATION.of({ messageType: 24, data: new Uint8Array(0) }), CRITICAL];
    const result = pair.b.runJob({
      kind: "seal",
      localHit: pair.b.hit,
      draft: { name: "NOTIFY", sender: pair.b.hit, receiver: pair.a.hit, parameters },
      rhash: "sha384",
      macKey: pair.b.agreement?.macOut,
    });
    if (result.kind !== "seal") throw new Error("not sealed");
    pair.deliver(pair.a, result.bytes);
    expect(pair.a.events("notify-received")).toEqual([]);
    expect(pair.a.drops("unknown_critical_parameter")).toBe(1);
  });
});

describe("ESP_INFO (RFC 7402 5.1.1, 5.2.1)", () => {
  test("in I2 and R2 names the sender's inbound SPI, no old one, and where the keys are drawn from", () => {
    const pair = new Pair({ config }).establish();
    const [ours, theirs] = [
      get(read(pair.sent(pair.a, "I2")), ESP_INFO),
      get(read(pair.sent(pair.b, "R2")), ESP_INFO),
    ];
    expect(ours?.newSpi).toBe(pair.a.sa("in")?.spi);
    expect(theirs?.newSpi).toBe(pair.b.sa("in")?.spi);
    expect([ours?.oldSpi, theirs?.oldSpi]).toEqual([0, 0]);
    // Two keys of AES-128-CBC and two of HMAC-SHA-384.
    expect([ours?.keymatIndex, theirs?.keymatIndex]).toEqual([2 * 16 + 2 * 48, 2 * 16 + 2 * 48]);
  });

  test("a later KEYMAT Index is followed", () => {
    const pair = new Pair({ config });
    pair.filter = () => false;
    const i2 = i2Of(pair.a, r1Of(pair, pair.b, pair.a));
    const info = get(read(i2), ESP_INFO);
    if (info === undefined) throw new Error("no ESP_INFO");
    const later = { ...info, keymatIndex: info.keymatIndex + 100 };
    pair.deliver(pair.b, remade(pair.a, i2, replacing(ESP_INFO.of(later))));
    expect(get(read(pair.sent(pair.b, "R2")), ESP_INFO)?.keymatIndex).toBe(later.keymatIndex);
    const { rhash, kij, i, j } = pair.a.agreement as Agreement;
    const [hitI, hitR] = [pair.a.hit, pair.b.hit];
    const keymat = new Keymat({ rhash, kij, hitI, hitR, i, j, index: later.keymatIndex });
    const { outbound, inbound } = espKeys(keymat, 13, pair.b.hit, pair.a.hit);
    expect(pair.b.sa("out")?.encryptionKey).toEqual(outbound.encryptionKey);
    expect(pair.b.sa("in")?.encryptionKey).toEqual(inbound.encryptionKey);
  });
});
