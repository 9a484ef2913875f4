// A parsed look at an inner IPv4 or IPv6 packet. Bounds-checked; nothing is copied.
#pragma once

#include "types.h"
#include "verdict.h"

namespace hipd {

/// IPv6 extension headers that one packet may carry before it is a counted drop.
inline constexpr unsigned kMaxExtensions = 8;

/// What an inner packet says. Offsets count from its first byte. Ports are host order.
struct InnerView {
  /// Hit: IPv6. Lsi: IPv4.
  InnerFamily family = InnerFamily::Hit;
  /// The upper-layer protocol: of IPv4's header, or behind IPv6's extension headers.
  std::uint8_t protocol = 0;
  /// IPv6: the base header's Next Header, with which ESP carries everything behind the base header. IPv4: as
  /// `protocol`.
  std::uint8_t firstHeader = 0;
  /// TOS or Traffic Class: DSCP in the upper six bits, ECN in the lower two.
  std::uint8_t trafficClass = 0;
  std::uint8_t hopLimit = 0;
  /// IPv4's DF; always set for IPv6.
  bool dontFragment = true;
  /// A fragment of something larger (an IPv6 "atomic fragment" is not one).
  bool fragment = false;
  /// Offset 0: the upper-layer header stands here. Also set when the packet is no fragment.
  bool first = true;
  bool moreFragments = false;
  /// There is an IPv6 fragment header, maybe an atomic one.
  bool fragmentHeader = false;
  /// Bytes, a multiple of 8.
  std::uint16_t fragmentOffset = 0;
  std::uint32_t fragmentId = 0;
  /// Length of the base header with IPv4 options (20 to 60) or of IPv6's base header (40).
  std::uint16_t baseLength = 0;
  /// Where the upper-layer header (or a later fragment's data) begins.
  std::uint16_t upperOffset = 0;
  /// Where the IPv6 fragment header stands, if there is one.
  std::uint16_t fragmentHeaderOffset = 0;
  /// Total Length of IPv4; 40 + Payload Length of IPv6. Bytes beyond it are not part of the packet.
  std::uint16_t totalLength = 0;
  /// Ports of TCP, UDP, UDP-Lite, DCCP and SCTP; ICMP echo: both are the identifier. 0 when there are none here.
  std::uint16_t sourcePort = 0;
  std::uint16_t destinationPort = 0;
  /// IPv4 options are present.
  bool options = false;
  /// An IPv6 routing header with segments left.
  bool sourceRoute = false;
  /// Type and code of ICMP or ICMPv6 when `first` and present.
  std::uint8_t icmpType = 0;
  std::uint8_t icmpCode = 0;
  /// ICMP or ICMPv6 error message (RFC 1122 3.2.2, RFC 4443 2.1).
  bool icmpError = false;

  /// Bytes from `upperOffset` to the end.
  std::uint16_t upperLength() const { return static_cast<std::uint16_t>(totalLength - upperOffset); }
};

/// Looks at a packet as it comes from the TUN device.
/// @return Ok, InnerTruncated, InnerVersion, InnerHeader or InnerExtensions. The IPv4 header checksum is not verified:
///         the local kernel made it.
Verdict parseInner(View packet, InnerView& view);

/// Looks at an upper layer that has no base header: ESP's payload. `firstHeader` is ESP's Next Header.
/// `baseLength` is 0 in the result and `totalLength` the payload's length; `family` is Hit.
/// @return Ok, InnerTruncated, InnerHeader or InnerExtensions.
Verdict parsePayload(std::uint8_t firstHeader, View payload, InnerView& view);

/// Looks at the packet inside an ICMP error: as parseInner, but it may be cut off anywhere behind its base header.
/// `totalLength` is what its header says; fields beyond the end are 0; `upperOffset` is never beyond the end.
Verdict parseEmbedded(View packet, InnerView& view);

/// Source and destination addresses of an IPv6 packet of at least 40 bytes.
inline Hit sourceHit(View packet) {
  return hitAt(packet.data() + 8);
}
inline Hit destinationHit(View packet) {
  return hitAt(packet.data() + 24);
}
/// Source and destination addresses of an IPv4 packet of at least 20 bytes.
inline Lsi sourceLsi(View packet) {
  return lsiAt(packet.data() + 12);
}
inline Lsi destinationLsi(View packet) {
  return lsiAt(packet.data() + 16);
}

/// A multicast address, IPv4's limited broadcast, or an unspecified or loopback address: no peer can have it.
bool isUnroutable(const Hit& address);
bool isUnroutable(const Lsi& address);

}  // namespace hipd
