// BEET mode (RFC 7402 Appendix B): inner packets between HITs or LSIs, ESP payloads without inner addresses on the
// wire.
//
// On the wire every payload is what IPv6 between the HITs would carry: checksums over the HIT pseudo header
// (RFC 7401 4.5.1), ICMPv6, fragment headers. LSIs never leave the host. Between IPv4 and that form packets are
// translated in the manner of RFC 7915.
#pragma once

#include <array>

#include "pool.h"
#include "types.h"
#include "verdict.h"
#include "view.h"

namespace hipd {

/// The names of both ends of an association, with sums made once. Immutable; make one per peer and keep it.
struct InnerPair {
  Hit localHit;
  Hit peerHit;
  Lsi localLsi;
  Lsi peerLsi;
  /// Both LSIs are known.
  bool hasLsi = false;
  /// Folded one's complement sums of the address pairs.
  std::uint16_t hitSum = 0;
  std::uint16_t lsiSum = 0;

  static InnerPair make(const Hit& localHit, const Hit& peerHit);
  static InnerPair make(const Hit& localHit, const Hit& peerHit, const Lsi& localLsi, const Lsi& peerLsi);

  static void* operator new(std::size_t) { return Pooled<InnerPair>::take(); }
  static void operator delete(void* place) { Pooled<InnerPair>::give(place); }
};

namespace beet {

/// The largest IPv6 packet that every path carries whole (RFC 8200 5). Smaller ones are fragmented here when they must
/// be.
inline constexpr std::size_t kIpv6MinMtu = 1280;
/// Inner hop limit when the outer one is not known.
inline constexpr std::uint8_t kHopLimit = 64;

/// What outbound found out beside the payload.
struct Outbound {
  /// ESP's Next Header.
  std::uint8_t nextHeader = 0;
  /// For the outer header, with hop limit and DF (RFC 7402 B.1.5). DSCP and ECN as the application's stack set them.
  std::uint8_t trafficClass = 0;
  std::uint8_t hopLimit = 0;
  bool dontFragment = true;
  /// What it was here: chooses the SPI (OutboundSa::spiFor).
  InnerFamily family = InnerFamily::Hit;
  /// When larger than the path: true, split it with Fragmenter; false, answer IcmpError::TooBig.
  bool mayFragment = false;
  /// The identification that Fragmenter needs: IPv4's, or that of the fragment header already there.
  std::uint32_t fragmentId = 0;
};

/// Turns a packet from the TUN device into ESP's payload, in place. `frame` holds the packet, and afterwards the
/// payload: contiguous, beginning up to 8 bytes before the packet did and never ending later.
/// @param view parseInner's result for this packet.
/// After Ok the base header in front of the payload is still as it was, but for fragments and ICMP errors.
/// @return Ok, InnerAddress, InnerOptions, InnerChecksum, FragmentZeroChecksum, FragmentIcmp, FragmentBad, IcmpType,
///         IcmpEmbedded, InnerTruncated, InnerHeader, LsiUnknown or BufferSmall (headroom).
Verdict outbound(Frame& frame, const InnerView& view, const InnerPair& pair, Outbound& out);

/// How the packet that inbound builds looks.
struct Presentation {
  InnerFamily family = InnerFamily::Hit;
  /// From the outer header where the socket gives it (RFC 7402 B.1.6).
  std::uint8_t trafficClass = 0;
  std::uint8_t hopLimit = kHopLimit;
};

/// Turns ESP's payload into a packet for the TUN device, in place. `frame` holds the payload, and afterwards the
/// packet: contiguous, beginning at most 40 bytes before the payload did and never ending later. IPv4 is given DF and
/// no identification unless it is a fragment (RFC 6864 4.1).
/// @param view parsePayload's result for this payload.
/// @return Ok, Dummy, InnerExtensions, InnerHeader, InnerTruncated, InnerOptions, InnerChecksum, FragmentIcmp,
///         FragmentBad, IcmpType, IcmpEmbedded, LsiUnknown or BufferSmall.
Verdict inbound(Frame& frame, std::uint8_t nextHeader, const InnerView& view, const InnerPair& pair,
                const Presentation& how);

/// Splits a payload that is larger than the path (RFC 8200 4.5) into payloads with a fragment header each. The two
/// pieces of a result point into the fragmenter and the payload.
class Fragmenter {
 public:
  /// @param payload and @param out what outbound made, with out.mayFragment. @param capacity maxPayload() of the path.
  /// @param id the identification; out.fragmentId for IPv4 and for fragments, else one that was not used lately.
  Fragmenter(View payload, const Outbound& out, std::size_t capacity, std::uint32_t id);
  /// The next fragment. @return false when there is none left, or when the capacity is below 16 bytes.
  bool next(std::uint8_t& nextHeader, std::array<View, 2>& pieces);

 private:
  View data_;
  std::size_t capacity_;
  std::uint32_t id_;
  std::uint16_t offset_ = 0;
  std::uint8_t upper_;
  bool lastHasMore_ = false;
  std::array<std::uint8_t, 8> header_{};
};

}  // namespace beet
}  // namespace hipd
