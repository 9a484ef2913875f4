// ICMP and ICMPv6 messages that the data plane itself says to local applications, and its own echo.
#pragma once

#include "types.h"
#include "verdict.h"

namespace hipd {

enum class IcmpError : std::uint8_t {
  /// IPv4: destination unreachable, host (3/1). IPv6: address unreachable (1/3).
  HostUnreachable,
  /// IPv4: communication administratively prohibited (3/13). IPv6: the same (1/1).
  Prohibited,
  /// IPv4: fragmentation needed (3/4). IPv6: packet too big (2/0).
  TooBig,
};

/// The largest ICMP error: 576 bytes for IPv4 (RFC 1812 4.3.2.3), 1280 for IPv6 (RFC 4443 2.4).
inline constexpr std::size_t kMaxIcmpError = 1280;

/// Builds the answer to a packet that came from the TUN device, to be written back to it. It comes from the
/// packet's destination. Nothing is built in answer to ICMP errors, unknown ICMP types, multicast, later fragments or
/// packets that do not parse (RFC 1122 3.2.2, RFC 4443 2.4 e).
/// @param mtu the inner MTU of this family, for TooBig. @param out kMaxIcmpError bytes are enough, none overlap.
/// @return its length, 0 for none.
std::size_t buildIcmpError(IcmpError error, View offending, std::size_t mtu, Bytes out);

/// Builds an ICMPv6 echo request between HITs, as if an application had sent it.
/// @return its length (48 + data), 0 when `out` is too small.
std::size_t buildEchoRequest(const Hit& source, const Hit& destination, std::uint16_t identifier,
                             std::uint16_t sequence, View data, Bytes out);

/// As buildEchoRequest, its answer.
std::size_t buildEchoReply(const Hit& source, const Hit& destination, std::uint16_t identifier, std::uint16_t sequence,
                           View data, Bytes out);

/// An ICMPv6 echo request or reply in ESP's payload.
struct EchoMessage {
  std::uint16_t identifier = 0;
  std::uint16_t sequence = 0;
  View data;
};
/// @param payload an ICMPv6 message. @return whether it is an echo message of this type (128 request, 129 reply) with a
/// right checksum for these HITs.
bool parseEcho(std::uint8_t type, View payload, const Hit& localHit, const Hit& peerHit, EchoMessage& message);

}  // namespace hipd
