import { describe, expect, test } from "vitest";
import type { Identity } from "../../src/crypto/identity.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { MAX_FORGED_I2S } from "../../src/hip/solutions.ts";
import { NOTIFY } from "../../src/wire/notification.ts";
import { get, has } from "../../src/wire/packet.ts";
import type { DraftParameter } from "../../src/wire/parameter.ts";
import {
  DIFFIE_HELLMAN,
  ENCRYPTED,
  HIP_CIPHER,
  HIP_MAC,
  HIP_SIGNATURE,
  HOST_ID,
  SOLUTION,
  TRANSPORT_FORMAT_LIST,
} from "../../src/wire/rfc7401.ts";
import { ESP_INFO, ESP_TRANSFORM } from "../../src/wire/rfc7402.ts";
import { NAT_TRAVERSAL_MODE } from "../../src/wire/rfc9028.ts";
import { notifyOf, told } from "../support/notify.ts";
import { changed, damaged, i2Of, r1Of, read, remade, replacing, without } from "../support/packets.ts";
import { identity, type Node, Pair } from "../support/pair.ts";
import { reach } from "../support/states.ts";

const config = { dhGroups: [7] };
const CRITICAL: DraftParameter = { type: 3071, contents: Uint8Array.of(1) };
const CRITICAL_DATA = Uint8Array.of(0x0b, 0xff);
const NOTHING = new Uint8Array(0);

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
    // RFC 9028 5.10: its own header.
    const rest = reason === "nat_traversal_mode" ? i2.slice(0, 40) : NOTHING;
    const expected = type === undefined ? "nothing" : { messageType: NOTIFY[type], data: data ?? rest };
    expect(told(notify)).toEqual(expected);
    // There is no association with keys that could authenticate it.
    if (notify !== undefined) {
      expect(has(notify, HIP_MAC)).toBe(false);
      expect(notify.bytes.length).toBeLessThanOrEqual(i2.length);
    }
  });

  test("nothing is told before the puzzle was verified (5.2.19)", () => {
    for (const { make, name } of wrong) {
      const pair = new Pair({ config: { ...config, puzzle: { ...DEFAULT_CONFIG.puzzle, idleK: 12 } } });
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
    for (const { make } of wrong) {
      pair.now = (pair.now + 1_000) as never;
      pair.deliver(a, make(i2Of(b, r1OfA), b));
    }
    expect(a.state(b)).toBe("ESTABLISHED");
    expect([...a.sas.keys()]).toEqual(sas);
    b.agreement = sessionKeys;
    // Within an association they carry its HIP_MAC.
    const notifies = pair.flights.filter(({ name }) => name === "NOTIFY");
    expect(notifies.length).toBeGreaterThan(10);
    for (const { bytes } of notifies) expect(has(read(bytes), HIP_MAC)).toBe(true);
  });

  test("a solution counts no more once it was signed for or came with four forged ones, and those make puzzles harder (4.1.1, 8)", () => {
    const cheap = [
      "unknown_critical_parameter",
      "i2_incomplete",
      "cipher_not_offered",
      "dh_group_not_offered",
    ];
    const signed = [
      "esp_suite_not_offered",
      "transport_format",
      "esp_info",
      "keymat_index",
      "nat_traversal_mode",
    ];
    const tried = (times: number, { make, reason, name }: (typeof wrong)[number]): Pair => {
      const pair = new Pair({ config });
      const good = i2Of(pair.a, r1Of(pair, pair.b, pair.a));
      const keys = pair.a.agreement;
      const bad = make(good, pair.a);
      for (let n = 0; n < times; n++) pair.deliver(pair.b, bad);
      pair.a.agreement = keys;
      expect(pair.b.drops(reason), name).toBe(signed.includes(reason) ? 1 : times);
      pair.deliver(pair.b, good);
      return pair;
    };
    for (const one of wrong) {
      const { name, reason } = one;
      const forged = !cheap.includes(reason) && !signed.includes(reason);
      const few = tried(MAX_FORGED_I2S - 1, one);
      expect(few.b.state(few.a), name).toBe(signed.includes(reason) ? "UNASSOCIATED" : "R2-SENT");
      few.now = (few.now + 1_001) as never;
      r1Of(few, few.b, few.a);
      expect(few.b.host.gauges().puzzleDifficulty > 0, name).toBe(forged);
      const many = tried(MAX_FORGED_I2S, one);
      expect(many.b.state(many.a), name).toBe(cheap.includes(reason) ? "R2-SENT" : "UNASSOCIATED");
      expect(many.b.drops("solution_forged"), name).toBe(forged ? 1 : 0);
    }
  });

  test("errors are told at a limited rate (5.2.19)", () => {
    const pair = new Pair({ config });
    const r1 = r1Of(pair, pair.b, pair.a);
    const forge = (): Uint8Array => damaged(i2Of(pair.a, r1), HIP_MAC.type);
    for (let n = 0; n < 40; n++) pair.deliver(pair.b, forge());
    expect(pair.count("NOTIFY")).toBe(20);
    expect(pair.b.drops("notify_rate_limit")).toBe(20);
    pair.now = (pair.now + 1_000) as never;
    for (let n = 0; n < 40; n++) pair.deliver(pair.b, forge());
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
