/** RFC 7401 Appendix C. */
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../src/core/bytes.ts";
import type { Hit } from "../../src/core/types.ts";
import { build, checksum, checksumValid, get, parse, withChecksum } from "../../src/wire/packet.ts";
import { DH_GROUP_LIST } from "../../src/wire/rfc7401.ts";

const I1 = fromHex(
  "3b0501210000000020010020000000000000000000000001200100200000000000000000000000" + "0201ff000303040800",
);

test("C.1: over IPv6", () => {
  expect(checksum(I1, "2001:db8::1", "2001:db8::2")).toBe(0x1a5e);
  const sent = withChecksum(I1, "2001:db8::1", "2001:db8::2");
  expect(toHex(sent.subarray(4, 6))).toBe("1a5e");
  expect(checksumValid(sent, "2001:db8::1", "2001:db8::2")).toBe(true);
});

test("C.2: over IPv4", () => {
  expect(checksum(I1, "192.0.2.1", "192.0.2.2")).toBe(0xf1ce);
});

test("the I1 of C.1 is what build makes, and parse reads", () => {
  const built = build({
    name: "I1",
    sender: "20010020000000000000000000000001" as Hit,
    receiver: "20010020000000000000000000000002" as Hit,
    parameters: [DH_GROUP_LIST.of({ groups: [3, 4, 8] })],
  });
  expect(toHex(built)).toBe(toHex(I1));
  const parsed = parse(I1);
  expect(parsed.ok && get(parsed.value, DH_GROUP_LIST)).toEqual({ groups: [3, 4, 8] });
});
