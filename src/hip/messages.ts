/** The packets that are the same whoever sends them (RFC 7401 5.3). */
import { formatIp, parseIp } from "../core/ip.ts";
import type { Endpoint, Hit, Path } from "../core/types.ts";
import { build, get, getAll, type HasParameters, type PacketDraft } from "../wire/packet.ts";
import type { DraftParameter } from "../wire/parameter.ts";
import {
  DH_GROUP_LIST,
  ECHO_REQUEST_SIGNED,
  ECHO_REQUEST_UNSIGNED,
  ECHO_RESPONSE_SIGNED,
  ECHO_RESPONSE_UNSIGNED,
  NOTIFICATION,
} from "../wire/rfc7401.ts";
import { mapped, unmapped } from "../wire/rfc8046.ts";
import { MAPPED_ADDRESS } from "../wire/rfc9028.ts";

/** IANA's number of UDP. */
const UDP = 17;

/** RFC 7401 5.3.1; `receiver` is the NULL HIT in opportunistic mode. */
export function i1(local: Hit, receiver: Hit, dhGroups: readonly number[]): Uint8Array {
  return build({ name: "I1", sender: local, receiver, parameters: [DH_GROUP_LIST.of({ groups: dhGroups })] });
}

/** RFC 7401 5.3.7. */
export function closeDraft(local: Hit, peer: Hit, echo: Uint8Array): PacketDraft {
  return {
    name: "CLOSE",
    sender: local,
    receiver: peer,
    parameters: [ECHO_REQUEST_SIGNED.of({ data: echo })],
  };
}

/** RFC 7401 5.3.8. */
export function closeAckDraft(local: Hit, peer: Hit, echo: Uint8Array): PacketDraft {
  return {
    name: "CLOSE_ACK",
    sender: local,
    receiver: peer,
    parameters: [ECHO_RESPONSE_SIGNED.of({ data: echo })],
  };
}

/** RFC 7401 5.3.6. */
export function notifyDraft(local: Hit, peer: Hit, messageType: number, data: Uint8Array): PacketDraft {
  return {
    name: "NOTIFY",
    sender: local,
    receiver: peer,
    parameters: [NOTIFICATION.of({ messageType, data })],
  };
}

/** What an ECHO_REQUEST_SIGNED must be answered with (RFC 7401 5.2.20, 5.2.22). */
export function signedEcho(packet: HasParameters): readonly DraftParameter[] {
  const request = get(packet, ECHO_REQUEST_SIGNED);
  return request === undefined ? [] : [ECHO_RESPONSE_SIGNED.of(request)];
}

/** From where a packet came, for its sender to know (RFC 9028 5.12). */
export function mappedAddress({ carrier, remote }: Path): readonly DraftParameter[] {
  const address = parseIp(remote.address);
  if (carrier !== "udp" || address === undefined) return [];
  return [MAPPED_ADDRESS.of({ port: remote.port, protocol: UDP, address: mapped(address) })];
}

/** Our own address as the peer sees it. */
export function mappedIn(packet: HasParameters): Endpoint | undefined {
  const seen = get(packet, MAPPED_ADDRESS);
  if (seen === undefined || seen.protocol !== UDP) return undefined;
  return { address: formatIp(unmapped(seen.address)), port: seen.port };
}

/** What ECHO_REQUEST_UNSIGNEDs must be answered with (RFC 7401 5.2.21, 5.2.23), to stand behind the signature. */
export function unsignedEchoes(packet: HasParameters): readonly DraftParameter[] {
  return getAll(packet, ECHO_REQUEST_UNSIGNED).map((request) => ECHO_RESPONSE_UNSIGNED.of(request));
}
