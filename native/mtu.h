// How large an inner packet may be on a path. Exact: BEET carries no inner header, ESP pads to words or blocks.
#pragma once

#include "aead.h"
#include "types.h"

namespace hipd {

/// What is around an ESP packet on a path.
struct OuterShape {
  Carrier carrier = Carrier::Udp;
  /// The underlay is IPv6.
  bool ipv6 = false;
};

/// Bytes of outer IP and UDP headers: 20 or 40, and 8 for UDP.
std::size_t outerHeaders(OuterShape outer);
/// The largest payload (what is behind the inner base header) of one ESP packet; 0 when the path is too small.
std::size_t maxPayload(std::size_t outerMtu, OuterShape outer, const SuiteShape& suite);
/// The largest inner packet: 1478 (Hit) and 1458 (Lsi) for 1500, IPv4, UDP, AES-GCM-16. A fragmented IPv4 packet
/// needs 8 bytes more on the wire (RFC 8200 4.5), see beet::Fragmenter.
std::size_t innerMtu(std::size_t outerMtu, OuterShape outer, const SuiteShape& suite, InnerFamily family);
/// The outer packet's length for a payload.
std::size_t outerLength(std::size_t payloadLength, OuterShape outer, const SuiteShape& suite);

}  // namespace hipd
