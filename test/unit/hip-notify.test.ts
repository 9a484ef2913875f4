import { describe, expect, test } from "vitest";
import type { Identity } from "../../src/crypto/identity.ts";
import { signatureValid } from "../../src/crypto/signature.ts";
import { NOTIFY } from "../../src/wire/notification.ts";
import { get, has, type Packet } from "../../src/wire/packet.ts";
import type { DraftParameter } from "../../src/wire/parameter.ts";
import {
  DIFFIE_HELLMAN,
  ECHO_REQUEST_SIGNED,
  ENCRYPTED,
  HIP_CIPHER,
  HIP_MAC,
  HIP_SIGNATURE,
  HOST_ID,
  NOTIFICATION,
  SOLUTION,
  TRANSPORT_FORMAT_LIST,
} from "../../src/wire/rfc7401.ts";
import { ESP_INFO, ESP_TRANSFORM } from "../../src/wire/rfc7402.ts";
import { NAT_TRAVERSAL_MODE } from "../../src/wire/rfc9028.ts";
import {
  authenticatedR2,
  badlySigned,
  changed,
  changeR1s,
  damaged,
  i2Of,
  r1Of,
  read,
  remade,
  replacing,
  sealed,
  without,
} from "../support/packets.ts";
import { identity, type Node, Pair, pathBetween, problemsOf } from "../support/pair.ts";
import { reach, STATES, validPacket } from "../support/states.ts";

const config = { dhGroups: [7] };
const CRITICAL: DraftParameter = { type: 3071, contents: Uint8Array.of(1) };
const CRITICAL_DATA = Uint8Array.of(0x0b, 0xff);
const NOTHING = new Uint8Array(0);

/** The one NOTIFY that `from` sent, checked: signed by its identity. */
function notifyOf(pair: Pair, from: Node): Packet | undefined {
  const sent = pair.flights.filter((flight) => flight.from === from && flight.name === "NOTIFY");
  expect(sent.length).toBeLessThanOrEqual(1);
  const [flight] = sent;
  if (flight === undefined) return undefined;
  const packet = read(flight.bytes);
  expect(signatureValid((from.identities[0] as Identity).publicOnly(), packet)).toBe(true);
  expect([packet.sender, packet.receiver]).toEqual([from.hit, pair.other(from).hit]);
  return packet;
}

function told(
  packet: Packet | undefined,
): { readonly messageType: number; readonly data: Uint8Array } | "nothing" {
  return (packet && get(packet, NOTIFICATION)) ?? "nothing";
}

type Make = (i2: Uint8Array, a: Node) => Uint8Array;
const change =
  (...fresh: readonly DraftParameter[]): Make =>
  (i2, a) =>
    remade(a, i2, replacing(...fresh));
const leaveOut =
  (type: number): Make =>
  (i2, a) =>
    remade(a, i2, without(type));

function espInfo(i2: Uint8Array) {
  const info = get(read(i2), ESP_INFO);
  if (info === undefined) throw new Error("no ESP_INFO");
  return info;
}

function withHostId(of: Identity): Make {
  return (i2, a) =>
    remade(a, i2, (all) => [
      ...all.filter(({ type }) => type !== ENCRYPTED.type),
      HOST_ID.of({ algorithm: of.algorithm, hostIdentity: of.hostIdentity, diType: 0, domainId: NOTHING }),
    ]);
}

const stranger = identity("ecdsa-p256", 3);

/** What is wrong with an I2, the drop that it counts as, and what the Initiator is told (5.2.19; 7402 5.1.3; 9028 5.10). */
const WRONG_I2: readonly (readonly [string, Make, string, keyof typeof NOTIFY | undefined, Uint8Array?])[] = [
  [
    "an unknown critical parameter",
    change(CRITICAL),
    "unknown_critical_parameter",
    "UNSUPPORTED_CRITICAL_PARAMETER_TYPE",
    CRITICAL_DATA,
  ],
  [
    "a DH group that was not offered",
    change(DIFFIE_HELLMAN.of({ group: 8, publicValue: new Uint8Array(96) })),
    "dh_group_not_offered",
    "INVALID_DH_CHOSEN",
  ],
  // RFC 7401 5.3.2: MUST silently abort.
  [
    "a bad DH public value",
    change(DIFFIE_HELLMAN.of({ group: 7, publicValue: new Uint8Array(64) })),
    "dh_public_value",
    undefined,
  ],
  [
    "a cipher that was not offered",
    change(HIP_CIPHER.of({ ids: [1] })),
    "cipher_not_offered",
    "INVALID_HIP_CIPHER_CHOSEN",
  ],
  ["two ciphers", change(HIP_CIPHER.of({ ids: [2, 4] })), "cipher_not_offered", "INVALID_HIP_CIPHER_CHOSEN"],
  ["a wrong HIP_MAC", (i2) => damaged(i2, HIP_MAC.type), "mac", "HIP_MAC_FAILED"],
  [
    "an ENCRYPTED that is not whole blocks",
    change(ENCRYPTED.of({ body: new Uint8Array(24) })),
    "decryption",
    "ENCRYPTION_FAILED",
  ],
  // 6.9 step 11: silently.
  [
    "an ENCRYPTED that holds no HOST_ID",
    change(ENCRYPTED.of({ body: new Uint8Array(48) })),
    "host_id_missing",
    undefined,
  ],
  ["no HOST_ID", leaveOut(ENCRYPTED.type), "host_id_missing", undefined],
  ["the HOST_ID of somebody else", withHostId(stranger), "hit_mismatch", "INVALID_HIT"],
  [
    "a HOST_ID that is no key",
    (i2, a) =>
      remade(a, i2, (all) => [
        ...all.filter(({ type }) => type !== ENCRYPTED.type),
        HOST_ID.of({ algorithm: 7, hostIdentity: new Uint8Array(66), diType: 0, domainId: NOTHING }),
      ]),
    "host_id",
    "INVALID_HIT",
  ],
  [
    "the signature of somebody else",
    (i2, a) => remade(a, i2, (all) => all, stranger),
    "signature",
    "AUTHENTICATION_FAILED",
  ],
  [
    "an ESP suite that was not offered",
    change(ESP_TRANSFORM.of({ suites: [7] })),
    "esp_suite_not_offered",
    "INVALID_ESP_TRANSFORM_CHOSEN",
  ],
  [
    "two ESP suites",
    change(ESP_TRANSFORM.of({ suites: [13, 8] })),
    "esp_suite_not_offered",
    "INVALID_ESP_TRANSFORM_CHOSEN",
  ],
  [
    "another transport format",
    change(TRANSPORT_FORMAT_LIST.of({ formats: [4094] })),
    "transport_format",
    "INVALID_SYNTAX",
  ],
  ["no ESP_INFO", leaveOut(ESP_INFO.type), "esp_info", "INVALID_SYNTAX"],
  [
    "an old SPI",
    (i2, a) => remade(a, i2, replacing(ESP_INFO.of({ ...espInfo(i2), oldSpi: 9_999 }))),
    "esp_info",
    "INVALID_SYNTAX",
  ],
  [
    "a reserved SPI",
    (i2, a) => remade(a, i2, replacing(ESP_INFO.of({ ...espInfo(i2), newSpi: 255 }))),
    "esp_info",
    "INVALID_SYNTAX",
  ],
  [
    "a KEYMAT Index before the association's own keys end",
    (i2, a) => remade(a, i2, replacing(ESP_INFO.of({ ...espInfo(i2), keymatIndex: 8 }))),
    "keymat_index",
    "INVALID_SYNTAX",
  ],
  [
    "a KEYMAT Index far away",
    (i2, a) => remade(a, i2, replacing(ESP_INFO.of({ ...espInfo(i2), keymatIndex: 60_000 }))),
    "keymat_index",
    "INVALID_SYNTAX",
  ],
  [
    "a NAT traversal mode that was not offered",
    change(NAT_TRAVERSAL_MODE.of({ modes: [3] })),
    "nat_traversal_mode",
    "NO_VALID_NAT_TRAVERSAL_MODE_PARAMETER",
  ],
  ["no DIFFIE_HELLMAN", leaveOut(DIFFIE_HELLMAN.type), "i2_incomplete", undefined],
  ["no HIP_CIPHER", leaveOut(HIP_CIPHER.type), "i2_incomplete", undefined],
  ["no HIP_MAC", (i2) => changed(i2, without(HIP_MAC.type)), "i2_incomplete", undefined],
  ["no HIP_SIGNATURE", (i2) => changed(i2, without(HIP_SIGNATURE.type)), "i2_incomplete", undefined],
];

describe("an I2 with", () => {
  const wrong = WRONG_I2.map(([name, make, reason, type, data]) => ({ name, make, reason, type, data }));

  test.each(wrong)("$name: $type", ({ make, reason, type, data }) => {
    const pair = new Pair({ config });
    const i2 = make(i2Of(pair.a, r1Of(pair, pair.b, pair.a)), pair.a);
    pair.deliver(pair.b, i2);
    expect(pair.b.drops(reason)).toBe(1);
    expect(pair.b.host.associations()).toEqual([]);
    expect(pair.b.sas.size).toBe(0);
    expect(pair.count("R2")).toBe(0);
    const notify = notifyOf(pair, pair.b);
    const expected = type === undefined ? "nothing" : { messageType: NOTIFY[type], data: data ?? NOTHING };
    expect(told(notify)).toEqual(expected);
    // There is no association with keys that could authenticate it.
    if (notify !== undefined) {
      expect(has(notify, HIP_MAC)).toBe(false);
      expect(notify.bytes.length).toBeLessThanOrEqual(i2.length);
    }
  });

  test("nothing is told before the puzzle was verified (5.2.19)", () => {
    for (const { make, name } of wrong) {
      const pair = new Pair({ config: { ...config, puzzle: { ...configPuzzle(), idleK: 12 } } });
      const i2 = damaged(make(i2Of(pair.a, r1Of(pair, pair.b, pair.a)), pair.a), SOLUTION.type, 4 + 48);
      pair.deliver(pair.b, i2);
      expect(pair.flights, name).toEqual([]);
      expect(pair.b.drops("puzzle_unsolved"), name).toBe(1);
    }
  });

  test("an error leaves an association that is there as it is", () => {
    const { pair, r1OfA } = reach("ESTABLISHED");
    const { a, b } = pair;
    const sas = [...a.sas.keys()];
    const sessionKeys = b.agreement;
    const i2 = i2Of(b, r1OfA);
    for (const { make } of wrong) {
      pair.now = (pair.now + 1_000) as never;
      pair.deliver(a, make(i2, b));
    }
    expect(a.state(b)).toBe("ESTABLISHED");
    expect([...a.sas.keys()]).toEqual(sas);
    b.agreement = sessionKeys;
    // Within an association they carry its HIP_MAC.
    const notifies = pair.flights.filter(({ name }) => name === "NOTIFY");
    expect(notifies.length).toBeGreaterThan(10);
    for (const { bytes } of notifies) expect(has(read(bytes), HIP_MAC)).toBe(true);
  });

  test("errors are told at a limited rate (5.2.19)", () => {
    const pair = new Pair({ config });
    const i2 = damaged(i2Of(pair.a, r1Of(pair, pair.b, pair.a)), HIP_MAC.type);
    for (let n = 0; n < 40; n++) pair.deliver(pair.b, i2);
    expect(pair.count("NOTIFY")).toBe(20);
    expect(pair.b.drops("notify_rate_limit")).toBe(20);
    pair.now = (pair.now + 1_000) as never;
    for (let n = 0; n < 40; n++) pair.deliver(pair.b, i2);
    expect(pair.count("NOTIFY")).toBe(30);
  });

  test("a peer that may not talk any more is told so, after the puzzle", () => {
    const { pair, r1OfA } = reach("CLOSED");
    pair.a.peers.clear();
    pair.deliver(pair.a, i2Of(pair.b, r1OfA));
    expect(told(notifyOf(pair, pair.a))).toEqual({ messageType: NOTIFY.BLOCKED_BY_POLICY, data: NOTHING });
    expect(pair.a.drops("policy")).toBe(1);
  });

  test("a full job queue: RESPONDER_BUSY_PLEASE_RETRY", () => {
    const pair = new Pair({ config: { ...config, maxJobs: 0 } });
    pair.deliver(pair.b, i2Of(pair.a, r1Of(pair, pair.b, pair.a)));
    const busy = { messageType: NOTIFY.RESPONDER_BUSY_PLEASE_RETRY, data: NOTHING };
    expect(told(notifyOf(pair, pair.b))).toEqual(busy);
  });
});

function configPuzzle() {
  return { idleK: 0, easyRate: 250, loadedK: 20, solveK: 24, lifetime: 37 };
}

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
  const types = [...Object.values(NOTIFY), 77, 9_999, 16_383, 20_000, 65_535];

  test.each(STATES)("changes nothing in %s, whatever it says", (state) => {
    const { pair } = reach(state);
    const { a, b } = pair;
    const before = [...a.sas.keys()];
    for (const messageType of types) {
      const data = new Uint8Array(messageType % 50);
      pair.deliver(a, sealed(b, a.hit, "NOTIFY", [NOTIFICATION.of({ messageType, data })]));
    }
    expect(a.state(b)).toBe(state);
    expect([...a.sas.keys()]).toEqual(before);
    expect(a.events("notify-received")).toHaveLength(types.length);
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
