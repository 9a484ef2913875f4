/** Everything that touches bytes from the network before they are authenticated. Throws when an invariant breaks. */
import { equal } from "../../src/core/bytes.ts";
import { decrypt } from "../../src/crypto/encrypted.ts";
import { PublicIdentity } from "../../src/crypto/identity.ts";
import { dump } from "../../src/wire/dump.ts";
import {
  append,
  build,
  checksum,
  checksumValid,
  covered,
  coveredByMac2,
  coveredBySignature2,
  get,
  getAll,
  type Packet,
  parse,
  parseParameters,
  withChecksum,
} from "../../src/wire/packet.ts";
import { KNOWN_PARAMETERS } from "../../src/wire/registry.ts";
import { ENCRYPTED, HOST_ID } from "../../src/wire/rfc7401.ts";
import { LOCATOR_SET, locatorParts } from "../../src/wire/rfc8046.ts";
import { decapsulate } from "../../src/wire/udp.ts";

export function exercise(bytes: Uint8Array): "packet" | "refused" {
  const before = bytes.slice();
  const parsed = parse(bytes);
  if (parsed.ok) exercisePacket(parsed.value);
  else if (parsed.error.detail === "") throw new Error("a refusal without a reason");
  parseParameters(bytes);
  covered(bytes, 61505);
  coveredByMac2(bytes, bytes);
  coveredBySignature2(bytes);
  append(bytes, [{ type: 1, contents: bytes }]);
  checksum(bytes, "192.0.2.1", "not an address");
  checksumValid(bytes, "2001:db8::1", "2001:db8::2");
  withChecksum(bytes, "192.0.2.1", "192.0.2.2");
  decapsulate(bytes);
  if (/[^ -~…]/.test(dump(bytes))) throw new Error("a dump that is not one line of printable text");
  if (!equal(before, bytes)) throw new Error("the input was changed");
  return parsed.ok ? "packet" : "refused";
}

function exercisePacket(packet: Packet): void {
  for (const parameter of KNOWN_PARAMETERS) {
    const raws = packet.parameters.filter(({ type }) => type === parameter.type);
    if (getAll(packet, parameter).length !== raws.length) throw new Error(`${parameter.name} got lost`);
    if (raws.length > 1 && !parameter.repeats) throw new Error(`${parameter.name} repeats`);
  }
  let end = 40;
  for (const { offset, end: next, contents } of packet.parameters) {
    if (offset !== end || next % 8 !== 0 || next - offset < 4 + contents.length)
      throw new Error("bad offsets");
    end = next;
  }
  if (end !== packet.bytes.length) throw new Error("bytes behind the last parameter");
  const { name, controls, sender, receiver, parameters } = packet;
  const again = parse(build({ name, controls, sender, receiver, parameters }));
  if (!again.ok || again.value.parameters.length !== parameters.length)
    throw new Error("not built as parsed");
  for (const locator of get(packet, LOCATOR_SET)?.locators ?? []) locatorParts(locator);
  const hostId = get(packet, HOST_ID);
  if (hostId !== undefined) PublicIdentity.from(hostId.algorithm, hostId.hostIdentity);
  const body = get(packet, ENCRYPTED)?.body;
  const text = body === undefined ? undefined : decrypt(2, new Uint8Array(16), body);
  if (text?.ok) parseParameters(text.value);
}
