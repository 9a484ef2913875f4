/** Parameter layouts, byte by byte as the RFCs' figures show them. */
import { describe, expect, test } from "vitest";
import { fromHex, toHex, utf8 } from "../../src/core/bytes.ts";
import type { Hit } from "../../src/core/types.ts";
import { build, get, parse } from "../../src/wire/packet.ts";
import type { DraftParameter } from "../../src/wire/parameter.ts";
import * as hipd from "../../src/wire/private.ts";
import { KNOWN_PARAMETERS } from "../../src/wire/registry.ts";
import * as base from "../../src/wire/rfc7401.ts";
import * as esp from "../../src/wire/rfc7402.ts";
import { REG_REQUEST, registrationLifetime } from "../../src/wire/rfc8003.ts";
import { LOCATOR_SET, locatorOf, locatorParts, mapped, unmapped } from "../../src/wire/rfc8046.ts";
import * as nat from "../../src/wire/rfc9028.ts";

/** The type numbers of the RFCs, typed in from their tables. */
const TYPES: Readonly<Record<string, number>> = {
  ESP_INFO: 65,
  R1_COUNTER: 129,
  LOCATOR_SET: 193,
  PUZZLE: 257,
  SOLUTION: 321,
  SEQ: 385,
  ACK: 449,
  DH_GROUP_LIST: 511,
  DIFFIE_HELLMAN: 513,
  HIP_CIPHER: 579,
  NAT_TRAVERSAL_MODE: 608,
  TRANSACTION_PACING: 610,
  ENCRYPTED: 641,
  HOST_ID: 705,
  HIT_SUITE_LIST: 715,
  CERT: 768,
  NOTIFICATION: 832,
  ECHO_REQUEST_SIGNED: 897,
  REG_INFO: 930,
  REG_REQUEST: 932,
  REG_RESPONSE: 934,
  REG_FAILED: 936,
  REG_FROM: 950,
  ECHO_RESPONSE_SIGNED: 961,
  TRANSPORT_FORMAT_LIST: 2049,
  ESP_TRANSFORM: 4095,
  RELAYED_ADDRESS: 4650,
  MAPPED_ADDRESS: 4660,
  PEER_PERMISSION: 4680,
  CANDIDATE_PRIORITY: 4700,
  NOMINATE: 4710,
  HIPD_AWAY: 40388,
  HIPD_LSI_SPI: 40386,
  HIP_MAC: 61505,
  HIP_MAC_2: 61569,
  HIP_SIGNATURE_2: 61633,
  HIP_SIGNATURE: 61697,
  ECHO_RESPONSE_UNSIGNED: 63425,
  ECHO_REQUEST_UNSIGNED: 63661,
  RELAY_FROM: 63998,
  RELAY_TO: 64002,
  FROM: 65498,
  RVS_HMAC: 65500,
  VIA_RVS: 65502,
  RELAY_HMAC: 65520,
};

test("the registry has these numbers and no others, and critical is the low bit", () => {
  expect(Object.fromEntries(KNOWN_PARAMETERS.map(({ name, type }) => [name, type]))).toEqual(TYPES);
  for (const { type, critical } of KNOWN_PARAMETERS) expect(critical).toBe(type % 2 === 1);
});

const address = fromHex("20010db8000000000000000000000001");

test.each<[string, DraftParameter, string]>([
  ["R1_COUNTER", base.R1_COUNTER.of({ counter: 0x0102030405060708n }), "00000000 0102030405060708"],
  ["PUZZLE", base.PUZZLE.of({ k: 10, lifetime: 37, opaque: 0xabcd, i: fromHex("1122") }), "0a 25 abcd 1122"],
  [
    "SOLUTION",
    base.SOLUTION.of({ k: 10, opaque: 0xabcd, i: fromHex("1122"), j: fromHex("3344") }),
    "0a 00 abcd 1122 3344",
  ],
  ["SEQ", base.SEQ.of({ updateId: 0xfffffffe }), "fffffffe"],
  ["ACK", base.ACK.of({ ids: [1, 0x80000000] }), "00000001 80000000"],
  ["DH_GROUP_LIST", base.DH_GROUP_LIST.of({ groups: [7, 8, 4] }), "07 08 04"],
  ["DIFFIE_HELLMAN", base.DIFFIE_HELLMAN.of({ group: 7, publicValue: fromHex("aabbcc") }), "07 0003 aabbcc"],
  ["HIP_CIPHER", base.HIP_CIPHER.of({ ids: [4, 2] }), "0004 0002"],
  ["ENCRYPTED", base.ENCRYPTED.of({ body: fromHex("aabb") }), "00000000 aabb"],
  [
    "HOST_ID without domain",
    base.HOST_ID.of({
      algorithm: 7,
      hostIdentity: fromHex("0001aa"),
      diType: 0,
      domainId: new Uint8Array(0),
    }),
    "0003 0000 0007 0001aa",
  ],
  [
    "HOST_ID with a NAI",
    base.HOST_ID.of({ algorithm: 5, hostIdentity: fromHex("aabb"), diType: 2, domainId: utf8("a@b") }),
    "0002 2003 0005 aabb 614062",
  ],
  ["HIT_SUITE_LIST: suites in the high nibble", base.HIT_SUITE_LIST.of({ suites: [2, 1, 5] }), "20 10 50"],
  ["NOTIFICATION", base.NOTIFICATION.of({ messageType: 1, data: fromHex("0203") }), "0000 0001 0203"],
  ["TRANSPORT_FORMAT_LIST", base.TRANSPORT_FORMAT_LIST.of({ formats: [4095] }), "0fff"],
  ["HIP_SIGNATURE", base.HIP_SIGNATURE.of({ algorithm: 7, signature: fromHex("aabb") }), "0007 aabb"],
  [
    "ESP_INFO",
    esp.ESP_INFO.of({ keymatIndex: 160, oldSpi: 0, newSpi: 0xdeadbeef }),
    "0000 00a0 00000000 deadbeef",
  ],
  ["ESP_TRANSFORM", esp.ESP_TRANSFORM.of({ suites: [13, 8] }), "0000 000d 0008"],
  ["REG_REQUEST", REG_REQUEST.of({ lifetime: 128, regTypes: [1, 2] }), "80 01 02"],
  ["NAT_TRAVERSAL_MODE", nat.NAT_TRAVERSAL_MODE.of({ modes: [1, 3] }), "0000 0001 0003"],
  ["RELAY_FROM", nat.RELAY_FROM.of({ port: 10500, protocol: 17, address }), `2904 11 00 ${toHex(address)}`],
  [
    "PEER_PERMISSION",
    nat.PEER_PERMISSION.of({
      rPort: 1,
      pPort: 2,
      protocol: 17,
      rAddress: address,
      pAddress: address,
      outboundSpi: 3,
      inboundSpi: 4,
    }),
    `0001 0002 11 000000 ${toHex(address)} ${toHex(address)} 00000003 00000004`,
  ],
  ["NOMINATE", nat.NOMINATE.of({}), "00000000"],
  ["HIPD_LSI_SPI", hipd.HIPD_LSI_SPI.of({ lsiSpi: 0x01020304 }), "01020304"],
])("%s", (_, draft, expected) => {
  expect(toHex(draft.contents)).toBe(expected.replaceAll(" ", ""));
});

describe("values that the RFC does not allow", () => {
  test.each([
    ["SOLUTION with halves of different length", base.SOLUTION, "0a00abcd 112233"],
    ["R1_COUNTER too short", base.R1_COUNTER, "00000000 01020304050607"],
    ["R1_COUNTER too long", base.R1_COUNTER, "00000000 010203040506070809"],
    ["ACK without an ID", base.ACK, ""],
    ["ACK with half an ID", base.ACK, "00000001 0000"],
    ["HIP_CIPHER with half an ID", base.HIP_CIPHER, "0002 00"],
    ["DIFFIE_HELLMAN whose value is longer than said", base.DIFFIE_HELLMAN, "07 0001 aabb"],
    ["DIFFIE_HELLMAN whose value is shorter than said", base.DIFFIE_HELLMAN, "07 0003 aabb"],
    ["HIT_SUITE_LIST with a low nibble", base.HIT_SUITE_LIST, "20 11"],
    ["HOST_ID with a length but no type of domain", base.HOST_ID, "0001 0001 0007 aa bb"],
    ["HOST_ID with an unknown type of domain", base.HOST_ID, "0001 3001 0007 aa bb"],
    ["HOST_ID whose identity reaches too far", base.HOST_ID, "0009 0000 0007 aa bb"],
    ["LOCATOR_SET whose locator reaches too far", LOCATOR_SET, "00 00 05 01 00000001 00000000"],
  ] as const)("%s", (_, parameter, contents) => {
    expect(parameter.decode(fromHex(contents.replaceAll(" ", "")))).toBeUndefined();
  });

  test("reserved bytes are ignored", () => {
    expect(esp.ESP_INFO.decode(fromHex("ffff00a000000000deadbeef"))).toEqual({
      keymatIndex: 160,
      oldSpi: 0,
      newSpi: 0xdeadbeef,
    });
  });

  test("of more than six ciphers, ESP suites or NAT modes the first six are kept, in both directions", () => {
    const seven = "0001000200030004000500060007";
    expect(base.HIP_CIPHER.decode(fromHex(seven))).toEqual({ ids: [1, 2, 3, 4, 5, 6] });
    expect(esp.ESP_TRANSFORM.decode(fromHex(`0000${seven}`))).toEqual({ suites: [1, 2, 3, 4, 5, 6] });
    expect(nat.NAT_TRAVERSAL_MODE.decode(fromHex(`0000${seven}`))).toEqual({ modes: [1, 2, 3, 4, 5, 6] });
    expect(base.HIP_CIPHER.of({ ids: [1, 2, 3, 4, 5, 6, 7] }).contents.length).toBe(12);
  });

  test("a domain identifier is cut to the 12 bits of its length", () => {
    const domainId = new Uint8Array(5000).fill(0x61);
    const { contents } = base.HOST_ID.of({ algorithm: 7, hostIdentity: fromHex("aa"), diType: 1, domainId });
    expect(base.HOST_ID.decode(contents)?.domainId.length).toBe(4095);
  });
});

test("R1_COUNTER can be echoed with its reserved field verbatim (RFC 7401 5.2.3)", () => {
  const received = { type: base.R1_COUNTER.type, contents: fromHex("a1b2c3d40000000000000007") };
  const draft = {
    name: "I2",
    sender: "20010020".padEnd(32, "1") as Hit,
    receiver: "20010020".padEnd(32, "2") as Hit,
  } as const;
  const packet = parse(build({ ...draft, parameters: [received] }));
  if (!packet.ok) throw new Error(packet.error.detail);
  expect(get(packet.value, base.R1_COUNTER)).toEqual({ counter: 7n });
  expect(toHex(packet.value.parameters[0]?.contents ?? new Uint8Array())).toBe("a1b2c3d40000000000000007");
});

describe("locators (RFC 8046 4.2, RFC 9028 5.7)", () => {
  const v4 = fromHex("c0000201");

  test("LOCATOR_SET counts words and carries the preferred bit", () => {
    const { locatorType, locator } = locatorOf({ address: v4, spi: 0x11223344, transport: undefined });
    const draft = LOCATOR_SET.of({
      locators: [{ trafficType: 2, locatorType, preferred: true, lifetime: 60, locator }],
    });
    expect(toHex(draft.contents)).toBe(
      ["02", "01", "05", "01", "0000003c", "11223344", "00000000000000000000ffffc0000201"].join(""),
    );
  });

  test.each([
    [0, { address: v4, spi: undefined, transport: undefined }, 16],
    [1, { address, spi: 7, transport: undefined }, 20],
    [2, { address: v4, spi: 7, transport: { port: 10500, protocol: 17, kind: 0, priority: 99 } }, 28],
  ])("type %i goes there and back", (type, parts, length) => {
    const { locatorType, locator } = locatorOf(parts);
    expect([locatorType, locator.length]).toEqual([type, length]);
    const row = { trafficType: 0, locatorType, preferred: false, lifetime: 1, locator };
    expect(locatorParts(row)).toEqual(parts);
    expect(locatorParts({ ...row, locator: locator.subarray(4) })).toBeUndefined();
    expect(locatorParts({ ...row, locatorType: 3 })).toBeUndefined();
  });

  test("IPv4 is mapped into IPv6", () => {
    expect(toHex(mapped(v4))).toBe("00000000000000000000ffffc0000201");
    expect(unmapped(mapped(v4))).toEqual(v4);
    expect(unmapped(address)).toEqual(address);
  });
});

test("registration lifetimes are exponents (RFC 8003 4.1)", () => {
  expect(registrationLifetime(0)).toBe(0);
  expect(registrationLifetime(64)).toBe(1);
  expect(registrationLifetime(144)).toBe(1024);
});
