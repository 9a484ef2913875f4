import { describe, expect, test } from "vitest";
import { STATE_NAMES } from "../../src/hip/io.ts";
import { NOTIFY } from "../../src/wire/notification.ts";
import type { DraftParameter } from "../../src/wire/parameter.ts";
import {
  DIFFIE_HELLMAN,
  ECHO_REQUEST_SIGNED,
  HIP_CIPHER,
  HIP_MAC,
  HIP_SIGNATURE,
  HOST_ID,
  NOTIFICATION,
  TRANSPORT_FORMAT_LIST,
} from "../../src/wire/rfc7401.ts";
import { ESP_INFO, ESP_TRANSFORM } from "../../src/wire/rfc7402.ts";
import { notifyOf, told } from "../support/notify.ts";
import {
  authenticatedR2,
  badlySigned,
  changeR1s,
  damaged,
  r1Of,
  read,
  replacing,
  sealed,
  without,
} from "../support/packets.ts";
import { identity, Pair, pathBetween } from "../support/pair.ts";
import { problemsOf } from "../support/pair-problems.ts";
import { reach, validPacket } from "../support/states.ts";

const config = { dhGroups: [7] };
const CRITICAL: DraftParameter = { type: 3071, contents: Uint8Array.of(1) };
const CRITICAL_DATA = Uint8Array.of(0x0b, 0xff);
const NOTHING = new Uint8Array(0);

const stranger = identity("ecdsa-p256", 3);

describe("an R1 that does not suit us", () => {
  test.each([
    [
      "transport formats without ESP",
      TRANSPORT_FORMAT_LIST.of({ formats: [4094] }),
      "NO_HIP_PROPOSAL_CHOSEN",
    ],
    ["HIP ciphers that we do not have", HIP_CIPHER.of({ ids: [1, 3] }), "NO_HIP_PROPOSAL_CHOSEN"],
    ["ESP suites that we do not have", ESP_TRANSFORM.of({ suites: [10, 11] }), "NO_ESP_PROPOSAL_CHOSEN"],
  ] as const)("%s: told once verified, I1-SENT stays", (_name, parameter, type) => {
    const pair = new Pair({ config });
    changeR1s(pair, pair.b, replacing(parameter));
    pair.connect(pair.a);
    pair.run(() => pair.count("NOTIFY", pair.a) === 1, 1_000);
    expect(told(notifyOf(pair, pair.a))).toEqual({ messageType: NOTIFY[type], data: NOTHING });
    expect(pair.a.state(pair.b)).toBe("I1-SENT");
    expect(pair.count("I2")).toBe(0);
  });

  test.each([HOST_ID.type, DIFFIE_HELLMAN.type, HIP_CIPHER.type, ESP_TRANSFORM.type, 257, 511, 715])(
    "parameter %i is missing: dropped silently (6.8.1)",
    (type) => {
      const pair = new Pair({ config });
      const good = pair.b.runner;
      changeR1s(pair, pair.b, without(type));
      pair.b.runner = good;
      const { a, b } = pair;
      pair.filter = () => false;
      pair.connect(a);
      // Without PUZZLE there is nothing to fill in; the packet is taken as it was signed.
      pair.deliver(a, r1Of(pair, b, a));
      expect(a.drops("r1_incomplete")).toBe(1);
      expect(pair.count("NOTIFY") + pair.count("I2")).toBe(0);
    },
  );
});

describe("an R2 in I2-SENT", () => {
  /** A valid R2 of b with other parameters, authenticated as it should be. */
  function r2(pair: Pair, fresh: readonly DraftParameter[], leave = 0): Uint8Array {
    const { a, b } = pair;
    const { parameters } = read(pair.sent(b, "R2"));
    const kept = parameters.filter(({ type }) => type < HIP_MAC.type && type !== leave);
    const hostId = pair.flights.find(({ name }) => name === "R1")?.bytes;
    const raw = read(hostId).parameters.find(({ type }) => type === HOST_ID.type);
    if (raw === undefined || hostId === undefined) throw new Error("no HOST_ID");
    return authenticatedR2(
      b,
      a,
      [...kept.filter(({ type }) => fresh.every((f) => f.type !== type)), ...fresh],
      hostId.slice(raw.offset, raw.end),
    );
  }

  test("with an unknown critical parameter: UNSUPPORTED_CRITICAL_PARAMETER_TYPE with its type", () => {
    const { pair } = reach("I2-SENT");
    pair.deliver(pair.a, r2(pair, [CRITICAL]));
    const expected = { messageType: NOTIFY.UNSUPPORTED_CRITICAL_PARAMETER_TYPE, data: CRITICAL_DATA };
    expect(told(notifyOf(pair, pair.a))).toEqual(expected);
    expect(pair.a.state(pair.b)).toBe("I2-SENT");
  });

  test.each([
    ["no ESP_INFO", [], ESP_INFO.type],
    ["a reserved SPI", [ESP_INFO.of({ keymatIndex: 128, oldSpi: 0, newSpi: 7 })], 0],
    ["an old SPI", [ESP_INFO.of({ keymatIndex: 128, oldSpi: 7_777, newSpi: 7_778 })], 0],
  ])("with %s: INVALID_SYNTAX", (_name, fresh, leave) => {
    const { pair } = reach("I2-SENT");
    pair.deliver(pair.a, r2(pair, fresh, leave));
    expect(told(notifyOf(pair, pair.a))).toEqual({ messageType: NOTIFY.INVALID_SYNTAX, data: NOTHING });
    expect(pair.a.state(pair.b)).toBe("I2-SENT");
    expect(problemsOf(pair)).toEqual([]);
  });

  test("with a wrong HIP_MAC_2: silence; with a wrong signature: AUTHENTICATION_FAILED (6.10)", () => {
    const { pair } = reach("I2-SENT");
    const good = pair.sent(pair.b, "R2") as Uint8Array;
    pair.deliver(pair.a, damaged(good, 61569));
    expect(pair.a.drops("mac")).toBe(1);
    expect(pair.flights.at(-1)?.name).not.toBe("NOTIFY");
    pair.deliver(pair.a, damaged(good, HIP_SIGNATURE.type, 20));
    expect(pair.a.drops("signature")).toBe(1);
    expect(told(notifyOf(pair, pair.a))).toEqual({
      messageType: NOTIFY.AUTHENTICATION_FAILED,
      data: NOTHING,
    });
    expect(pair.a.state(pair.b)).toBe("I2-SENT");
    pair.deliver(pair.a, good);
    expect(pair.a.state(pair.b)).toBe("ESTABLISHED");
  });
});

describe("a packet of an association", () => {
  const parameters = {
    CLOSE: [ECHO_REQUEST_SIGNED.of({ data: new Uint8Array(16) })],
    UPDATE: [{ type: 385, contents: new Uint8Array(4) }],
  } as const;

  test.each(["UPDATE", "CLOSE"] as const)("%s with a wrong HIP_MAC is dropped silently", (name) => {
    const { pair } = reach("ESTABLISHED");
    pair.deliver(pair.a, damaged(sealed(pair.b, pair.a.hit, name, parameters[name]), HIP_MAC.type));
    expect(pair.a.drops("mac")).toBe(1);
    expect(pair.count("NOTIFY")).toBe(0);
    expect(pair.a.state(pair.b)).toBe("ESTABLISHED");
  });

  test.each(["UPDATE", "CLOSE"] as const)("%s with a wrong signature: AUTHENTICATION_FAILED", (name) => {
    const { pair } = reach("ESTABLISHED");
    const packet = badlySigned(pair.b, pair.a.hit, name, parameters[name]);
    pair.deliver(pair.a, packet);
    expect(pair.a.drops("signature")).toBe(1);
    const notify = notifyOf(pair, pair.a);
    expect(told(notify)).toEqual({ messageType: NOTIFY.AUTHENTICATION_FAILED, data: NOTHING });
    expect(notify?.bytes.length).toBeLessThanOrEqual(packet.length);
    expect(pair.a.state(pair.b)).toBe("ESTABLISHED");
    expect(pair.a.events("authentication-failed")).toHaveLength(1);
  });

  test.each(["UPDATE", "CLOSE"] as const)(
    "%s with an unknown critical parameter is told and not acted upon",
    (name) => {
      const { pair } = reach("ESTABLISHED");
      pair.deliver(pair.a, sealed(pair.b, pair.a.hit, name, [...parameters[name], CRITICAL]));
      const expected = { messageType: NOTIFY.UNSUPPORTED_CRITICAL_PARAMETER_TYPE, data: CRITICAL_DATA };
      expect(told(notifyOf(pair, pair.a))).toEqual(expected);
      expect(pair.a.state(pair.b)).toBe("ESTABLISHED");
      expect(pair.count(name, pair.a)).toBe(0);
      expect(pair.count("CLOSE_ACK")).toBe(0);
    },
  );

  test("that is smaller than the NOTIFY would be gets none", () => {
    const pair = new Pair({
      a: [identity("rsa-2048", 7)],
      b: [identity("ecdsa-p256", 1)],
      config,
    }).establish();
    pair.deliver(pair.a, badlySigned(pair.b, pair.a.hit, "CLOSE", parameters.CLOSE));
    expect(pair.a.drops("notify_larger_than_packet")).toBe(1);
    expect(pair.count("NOTIFY")).toBe(0);
  });
});

describe("a NOTIFY that comes in (6.13)", () => {
  // All are told but NAT_KEEPALIVE, which is for the NATs on its way (RFC 9028 5.3).
  const types = [...Object.values(NOTIFY), 77, 9_999, 16_383, 20_000, 65_535];

  test.each(STATE_NAMES)("changes nothing in %s, whatever it says", (state) => {
    const { pair } = reach(state);
    const { a, b } = pair;
    const before = [...a.sas.keys()];
    for (const messageType of types) {
      const data = new Uint8Array(messageType % 50);
      pair.deliver(a, sealed(b, a.hit, "NOTIFY", [NOTIFICATION.of({ messageType, data })]));
    }
    expect(a.state(b)).toBe(state);
    expect([...a.sas.keys()]).toEqual(before);
    expect(a.events("notify-received")).toHaveLength(types.length - 1 - a.events("clone-detected").length);
    expect(pair.count("NOTIFY", a)).toBe(0);
  });

  test("is marked as hearsay unless its HIP_MAC is that of the association", () => {
    const reached = reach("ESTABLISHED");
    const { a, b } = reached.pair;
    const good = validPacket(reached, "NOTIFY");
    const parameters = [NOTIFICATION.of({ messageType: 24, data: Uint8Array.of(0x41, 0x0a) })];
    reached.pair.deliver(a, good);
    reached.pair.deliver(a, damaged(good, HIP_MAC.type));
    reached.pair.deliver(a, sealed(b, a.hit, "NOTIFY", parameters, { mac: false }));
    expect(a.events("notify-received").map(({ detail }) => detail["authentic"])).toEqual(["yes", "no", "no"]);
    expect(a.events("notify-received")[2]?.detail).toEqual({
      notification: "AUTHENTICATION_FAILED",
      messageType: 24,
      data: "A\\x0a",
      authentic: "no",
    });
  });

  test("with several notifications is heard as several, with none as nothing", () => {
    const { pair } = reach("ESTABLISHED");
    const { a, b } = pair;
    const many = Array.from({ length: 9 }, (_, n) =>
      NOTIFICATION.of({ messageType: 20_000 + n, data: NOTHING }),
    );
    pair.deliver(a, sealed(b, a.hit, "NOTIFY", many));
    expect(a.events("notify-received")).toHaveLength(4);
    pair.deliver(a, sealed(b, a.hit, "NOTIFY", []));
    expect(a.drops("notify_empty")).toBe(1);
  });

  test("of a HIT that is not known is not heard at all", () => {
    const pair = new Pair({ config });
    const c = pair.add("c", "203.0.113.9", [stranger], config);
    const parameters = [NOTIFICATION.of({ messageType: 24, data: NOTHING })];
    pair.deliver(pair.a, sealed(c, pair.a.hit, "NOTIFY", parameters, { mac: false }), pathBetween(pair.a, c));
    expect(pair.a.drops("policy")).toBe(1);
    expect(pair.a.events("notify-received")).toEqual([]);
  });
});
