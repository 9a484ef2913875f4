// ICMP for IPv4 and ICMPv6, one into the other, in the manner of RFC 7915 4.2 and 5.2. Used by beet.cc only.
#pragma once

#include "beet.h"
#include "types.h"
#include "verdict.h"
#include "view.h"

namespace hipd::beet {

/// Types that never leave a link: MLD, neighbour discovery, its inverse and MLDv2 (RFC 4890 4.3.2, 4.4).
bool isLinkLocalIcmp6(std::uint8_t type);

/// Adjusts the checksum of a transport header, if its protocol has one with a pseudo header and `upper` reaches so far,
/// from one address sum to the other. A zero UDP checksum stays.
/// @return whether there was nothing to do or it was done; false when `upper` ends too early.
bool moveChecksum(std::uint8_t protocol, Bytes upper, std::uint16_t fromSum, std::uint16_t toSum);

/// ICMP behind an IPv4 header to ICMPv6. `frame` holds the whole IPv4 packet, and afterwards the ICMPv6 message.
Verdict icmpToWire(Frame& frame, const InnerView& view, const InnerPair& pair);

/// ICMPv6 to ICMP. `frame` begins with the ICMPv6 message, and afterwards with the ICMP message.
Verdict icmpFromWire(Frame& frame, const InnerPair& pair);

/// Writes an IPv4 header of 20 bytes with its checksum. @param flagsAndOffset as in the header.
void writeIpv4(std::uint8_t* out, std::size_t totalLength, std::uint8_t trafficClass, std::uint16_t id,
               std::uint16_t flagsAndOffset, std::uint8_t hopLimit, std::uint8_t protocol, const Lsi& source,
               const Lsi& destination);

/// Writes an IPv6 base header of 40 bytes.
void writeIpv6(std::uint8_t* out, std::size_t payloadLength, std::uint8_t trafficClass, std::uint8_t nextHeader,
               std::uint8_t hopLimit, const Hit& source, const Hit& destination);

/// Writes a fragment header of 8 bytes (RFC 8200 4.5). @param offset bytes.
void writeFragment(std::uint8_t* out, std::uint8_t nextHeader, std::uint16_t offset, bool more, std::uint32_t id);

inline constexpr std::uint16_t kDontFragment = 0x4000;
inline constexpr std::uint16_t kMoreFragments = 0x2000;

}  // namespace hipd::beet
