import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../src/core/bytes.ts";
import type { Hit } from "../../src/core/types.ts";
import { dump, shortHit } from "../../src/wire/dump.ts";
import { isNotifyError, NOTIFY, notifyName } from "../../src/wire/notification.ts";
import {
  append,
  build,
  covered,
  coveredByMac2,
  coveredBySignature2,
  get,
  getAll,
  has,
  MAX_PACKET_BYTES,
  type Packet,
  type PacketDraft,
  parse,
  parseParameters,
  raw,
  tlv,
  withChecksum,
} from "../../src/wire/packet.ts";
import * as base from "../../src/wire/rfc7401.ts";
import { ESP_INFO } from "../../src/wire/rfc7402.ts";
import { decapsulate, encapsulate } from "../../src/wire/udp.ts";

const sender = "20010022111111111111111111111111" as Hit;
const receiver = "20010022222222222222222222222222" as Hit;

function draft(...parameters: PacketDraft["parameters"]): PacketDraft {
  return { name: "UPDATE", sender, receiver, parameters };
}

function mustParse(bytes: Uint8Array): Packet {
  const parsed = parse(bytes);
  if (!parsed.ok) throw new Error(`${parsed.error.reason}: ${parsed.error.detail}`);
  return parsed.value;
}

/** A packet with these bytes as its parameters, whatever they are. */
function withBody(body: string): Uint8Array {
  const bytes = concat(build(draft()), fromHex(body.replaceAll(" ", "")));
  bytes[1] = bytes.length / 8 - 1;
  return bytes;
}

describe("header", () => {
  test("is that of RFC 7401 5.1", () => {
    expect(toHex(build({ ...draft(), controls: 1 }))).toBe(`3b0410210000${"0001"}${sender}${receiver}`);
  });

  test.each([
    ["I1", 1],
    ["R1", 2],
    ["I2", 3],
    ["R2", 4],
    ["UPDATE", 16],
    ["NOTIFY", 17],
    ["CLOSE", 18],
    ["CLOSE_ACK", 19],
  ] as const)("%s has type %i", (name, type) => {
    const bytes = build({ ...draft(), name });
    expect(bytes[2]).toBe(type);
    expect(mustParse(bytes).name).toBe(name);
  });

  test.each([
    ["short", 0, (bytes: Uint8Array) => bytes.subarray(0, 39)],
    ["version", 3, (bytes: Uint8Array) => changed(bytes, 3, 0x11)],
    ["header_length", 1, (bytes: Uint8Array) => changed(bytes, 1, 3)],
    ["header_length", 1, (bytes: Uint8Array) => changed(bytes, 1, 6)],
    ["packet_type", 2, (bytes: Uint8Array) => changed(bytes, 2, 5)],
    ["packet_type", 2, (bytes: Uint8Array) => changed(bytes, 2, 20)],
  ] as const)("%s is refused, pointing at %i", (reason, pointer, change) => {
    const parsed = parse(change(build(draft(base.SEQ.of({ updateId: 1 })))));
    expect(parsed.ok ? undefined : parsed.error).toMatchObject({ reason, pointer });
  });

  test("fixed bits, reserved bits and reserved controls are ignored when received", () => {
    const bytes = build(draft(base.SEQ.of({ updateId: 1 })));
    for (const [at, value] of [
      [2, 0x80 | 16],
      [3, 0x2e],
      [6, 0xff],
    ] as const) {
      expect(mustParse(changed(bytes, at, value)).name).toBe("UPDATE");
    }
  });

  test("what follows the packet is ignored, whatever Next Header says", () => {
    const bytes = build(draft(base.SEQ.of({ updateId: 1 })));
    const longer = concat(changed(bytes, 0, 6), fromHex("0102030405"));
    expect(mustParse(longer).bytes.length).toBe(bytes.length);
  });
});

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
}

describe("parameters", () => {
  test.each([
    ["parameter_length", "longer than the packet", "0181 0005 00000000"],
    ["parameter_length", "much longer", "0181 ffff 00000000"],
    ["parameter_order", "SEQ before ESP_INFO", "0181 0004 00000001 0041 000c 000000a0 00000000 00000001"],
    ["parameter_repeated", "SEQ twice", "0181 0004 00000001 0181 0004 00000002"],
    ["parameter_value", "SEQ of three bytes", "0181 0003 00000100"],
    ["parameter_count", "65 parameters", "8100 0000 00000000 ".repeat(65)],
  ])("%s: %s", (reason, _, body) => {
    const parsed = parse(withBody(body));
    expect(parsed.ok ? undefined : parsed.error.reason).toBe(reason);
  });

  test("the pointer shows the offending parameter", () => {
    const parsed = parse(withBody("0181 0004 00000001 0181 0004 00000002"));
    expect(parsed.ok ? 0 : parsed.error.pointer).toBe(48);
  });

  test("64 parameters are allowed", () => {
    expect(mustParse(withBody("8100 0000 00000000 ".repeat(64))).parameters.length).toBe(64);
  });

  test("padding is not checked", () => {
    expect(get(mustParse(withBody("01ff 0003 030408 ff")), base.DH_GROUP_LIST)).toEqual({
      groups: [3, 4, 8],
    });
  });

  test.each([
    [base.NOTIFICATION.of({ messageType: 1, data: new Uint8Array(0) })],
    [base.ECHO_REQUEST_UNSIGNED.of({ data: fromHex("01") })],
    [base.ECHO_RESPONSE_UNSIGNED.of({ data: fromHex("01") })],
    [ESP_INFO.of({ keymatIndex: 0, oldSpi: 1, newSpi: 2 })],
  ])("parameter $type may repeat", (parameter) => {
    expect(mustParse(build(draft(parameter, parameter))).parameters.length).toBe(2);
  });

  test("unknown ones: critical are listed, others not; both are there raw", () => {
    const packet = mustParse(
      build(draft({ type: 8193, contents: fromHex("01") }, { type: 8194, contents: fromHex("02") })),
    );
    expect(packet.unknownCritical).toEqual([8193]);
    expect(packet.parameters.map(({ type }) => type)).toEqual([8193, 8194]);
  });

  test("get, getAll, raw, has", () => {
    const [a, b] = [fromHex("0a"), fromHex("0b")];
    const bytes = build(
      draft(
        base.ECHO_REQUEST_UNSIGNED.of({ data: a }),
        base.SEQ.of({ updateId: 9 }),
        base.ECHO_REQUEST_UNSIGNED.of({ data: b }),
      ),
    );
    const packet = mustParse(bytes);
    expect(get(packet, base.SEQ)).toEqual({ updateId: 9 });
    expect(get(packet, base.ACK)).toBeUndefined();
    expect(get(packet, base.ECHO_REQUEST_UNSIGNED)).toEqual({ data: a });
    expect(getAll(packet, base.ECHO_REQUEST_UNSIGNED)).toEqual([{ data: a }, { data: b }]);
    expect(has(packet, base.SEQ)).toBe(true);
    expect(has(packet, base.ACK)).toBe(false);
    const seq = raw(packet, base.SEQ);
    expect(seq).toMatchObject({ type: 385, offset: 40, end: 48 });
    expect(toHex(bytes.subarray(seq?.offset, seq?.end))).toBe("0181000400000009");
  });

  test("those inside ENCRYPTED are read by the same rules", () => {
    const hostId = {
      algorithm: 7,
      hostIdentity: fromHex("0001aa"),
      diType: 0,
      domainId: new Uint8Array(0),
    } as const;
    const inner = parseParameters(tlv(base.HOST_ID.of(hostId)));
    expect(inner.ok && get({ parameters: inner.value }, base.HOST_ID)).toEqual(hostId);
    expect(parseParameters(fromHex("02c1000500000000")).ok).toBe(false);
  });
});

describe("what MACs and signatures cover (RFC 7401 6.4)", () => {
  const inside = [base.SEQ.of({ updateId: 1 }), base.ECHO_REQUEST_SIGNED.of({ data: fromHex("0102030405") })];
  const plain = build(draft(...inside));
  const full = append(append(plain, [base.HIP_MAC.of({ mac: new Uint8Array(32).fill(7) })]), [
    base.HIP_SIGNATURE.of({ algorithm: 7, signature: new Uint8Array(64).fill(8) }),
    base.ECHO_RESPONSE_UNSIGNED.of({ data: fromHex("99") }),
  ]);

  test("append fixes the length, and the result parses", () => {
    const packet = mustParse(full);
    expect(packet.parameters.map(({ type }) => type)).toEqual([385, 897, 61505, 61697, 63425]);
    expect(packet.bytes.length).toBe(full.length);
  });

  test("HIP_MAC covers what stands before it, with its Header Length and no checksum", () => {
    expect(toHex(covered(changed(changed(full, 4, 0xaa), 5, 0xbb), base.HIP_MAC.type))).toBe(toHex(plain));
  });

  test("HIP_SIGNATURE covers HIP_MAC, and not what follows", () => {
    const withMac = append(plain, [base.HIP_MAC.of({ mac: new Uint8Array(32).fill(7) })]);
    expect(toHex(covered(full, base.HIP_SIGNATURE.type))).toBe(toHex(withMac));
  });

  test("without the parameter everything is covered, and the input is not changed", () => {
    const before = toHex(full);
    expect(toHex(covered(full, 65535))).toBe(before);
    expect(toHex(full)).toBe(before);
  });

  test("a Buffer is copied like any other bytes", () => {
    const buffer = Buffer.from(changed(full, 4, 0xaa));
    covered(buffer, base.HIP_MAC.type);
    coveredBySignature2(buffer);
    withChecksum(buffer, "192.0.2.1", "192.0.2.2");
    append(buffer, [base.ECHO_RESPONSE_UNSIGNED.of({ data: fromHex("98") })]);
    expect(toHex(buffer)).toBe(toHex(changed(full, 4, 0xaa)));
  });

  test("HIP_MAC_2 covers HOST_ID behind the packet, counted in Header Length", () => {
    const hostId = tlv(
      base.HOST_ID.of({
        algorithm: 7,
        hostIdentity: fromHex("0001aabb"),
        diType: 0,
        domainId: new Uint8Array(0),
      }),
    );
    const r2 = build({ ...draft(ESP_INFO.of({ keymatIndex: 1, oldSpi: 0, newSpi: 2 })), name: "R2" });
    const whole = coveredByMac2(append(r2, [base.HIP_MAC_2.of({ mac: new Uint8Array(48) })]), hostId);
    expect(toHex(whole.subarray(r2.length))).toBe(toHex(hostId));
    expect(toHex(whole.subarray(2, r2.length))).toBe(toHex(r2.subarray(2)));
    expect(whole[1]).toBe((r2.length + hostId.length) / 8 - 1);
  });

  test("HIP_SIGNATURE_2 sees zeros for the receiver, Opaque and I, but not for K and Lifetime", () => {
    const puzzle = { k: 10, lifetime: 37, opaque: 0xabcd, i: new Uint8Array(48).fill(0xee) };
    const r1 = build({
      ...draft(base.PUZZLE.of(puzzle), base.DH_GROUP_LIST.of({ groups: [7] })),
      name: "R1",
    });
    const zeroed = build({
      ...draft(
        base.PUZZLE.of({ ...puzzle, opaque: 0, i: new Uint8Array(48) }),
        base.DH_GROUP_LIST.of({ groups: [7] }),
      ),
      name: "R1",
      receiver: "0".repeat(32) as Hit,
    });
    const signed = append(r1, [base.HIP_SIGNATURE_2.of({ algorithm: 7, signature: new Uint8Array(64) })]);
    expect(toHex(coveredBySignature2(signed))).toBe(toHex(zeroed));
  });

  test("a packet too long for Header Length is recognizable by its size, and refused by whoever gets it", () => {
    const bytes = build(draft(base.ECHO_REQUEST_SIGNED.of({ data: new Uint8Array(2100) })));
    expect(bytes.length).toBeGreaterThan(MAX_PACKET_BYTES);
    expect(bytes[1]).toBe(255);
    expect(parse(bytes).ok).toBe(false);
  });
});

describe("UDP (RFC 9028 5.1)", () => {
  test("four zero bytes mark HIP; an SPI is ESP; 0xff is a keepalive", () => {
    const packet = build(draft());
    expect(toHex(encapsulate(packet))).toBe(`00000000${toHex(packet)}`);
    expect(decapsulate(fromHex("0000010000")).kind).toBe("esp");
    expect(decapsulate(fromHex("ff")).kind).toBe("keepalive");
    expect(decapsulate(fromHex("fe")).kind).toBe("short");
    expect(decapsulate(new Uint8Array(0)).kind).toBe("short");
    expect(decapsulate(new Uint8Array(4))).toEqual({ kind: "hip", bytes: new Uint8Array(0) });
  });
});

describe("notifications", () => {
  test("names and ranges", () => {
    expect(notifyName(NOTIFY.HIP_MAC_FAILED)).toBe("HIP_MAC_FAILED");
    expect(notifyName(9999)).toBe("notification 9999");
    expect([isNotifyError(16383), isNotifyError(16384)]).toEqual([true, false]);
    expect([NOTIFY.I2_ACKNOWLEDGEMENT, NOTIFY.NAT_KEEPALIVE]).toEqual([16384, 16385]);
  });
});

describe("dump", () => {
  test("names packet, hosts and parameters", () => {
    const line = dump(
      build(
        draft(
          base.NOTIFICATION.of({ messageType: 44, data: new Uint8Array(0) }),
          ESP_INFO.of({ keymatIndex: 160, oldSpi: 0, newSpi: 0xab }),
          { type: 8193, contents: fromHex("01") },
        ),
      ),
    );
    expect(line).toBe(
      "UPDATE 2001:22:…:1111 > 2001:22:…:2222 72 bytes: " +
        "ESP_INFO(keymatIndex=160 oldSpi=0x00000000 newSpi=0x000000ab) " +
        "NOTIFICATION(messageType=RESPONDER_BUSY_PLEASE_RETRY data=0b) CRITICAL-8193(1b)",
    );
  });

  test("shows no MAC, signature, key or echo data", () => {
    const secret = fromHex("5ec2e75ec2e75ec2e7");
    const line = dump(
      build(
        draft(
          base.HIP_MAC.of({ mac: secret }),
          base.HIP_SIGNATURE.of({ algorithm: 7, signature: secret }),
          base.ECHO_REQUEST_SIGNED.of({ data: secret }),
          base.ENCRYPTED.of({ body: secret }),
          base.DIFFIE_HELLMAN.of({ group: 7, publicValue: secret }),
        ),
      ),
    );
    expect(line).not.toContain("5ec2");
    expect(line).toContain("HIP_MAC(mac=9b)");
  });

  test("a domain identifier cannot break the line", () => {
    const hostId = {
      algorithm: 7,
      hostIdentity: fromHex("00"),
      diType: 2,
      domainId: fromHex("610a1b62"),
    } as const;
    expect(dump(build(draft(base.HOST_ID.of(hostId))))).toContain("domainId=a\\x0a\\x1bb");
  });

  test("says what is wrong with other bytes", () => {
    expect(dump(fromHex("0102"))).toMatch(/^malformed \(short at 0: .*\) 2 bytes 0102$/);
    expect(shortHit("0".repeat(32) as Hit)).toBe("::");
  });
});
