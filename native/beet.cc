#include "beet.h"

#include "checksum.h"
#include "translate.h"

namespace hipd {

InnerPair InnerPair::make(const Hit& localHit, const Hit& peerHit) {
  InnerPair pair;
  pair.localHit = localHit;
  pair.peerHit = peerHit;
  pair.hitSum = sumAddresses(localHit, peerHit);
  return pair;
}

InnerPair InnerPair::make(const Hit& localHit, const Hit& peerHit, const Lsi& localLsi, const Lsi& peerLsi) {
  InnerPair pair = make(localHit, peerHit);
  pair.localLsi = localLsi;
  pair.peerLsi = peerLsi;
  pair.hasLsi = true;
  pair.lsiSum = sumAddresses(localLsi, peerLsi);
  return pair;
}

namespace beet {
namespace {

/// Source routing asks for hops that BEET does not have (RFC 7915 4.1); other options are dropped (RFC 7402 B.1.5).
Verdict checkOptions(View options) {
  for (std::size_t i = 0; i < options.size();) {
    const std::uint8_t kind = options[i];
    if (kind == 0) break;
    if (kind == 1) {
      i++;
      continue;
    }
    if (i + 1 >= options.size()) return Verdict::InnerHeader;
    const std::size_t length = options[i + 1];
    if (length < 2 || i + length > options.size()) return Verdict::InnerHeader;
    const bool sourceRoute = kind == 131 || kind == 137;
    // The pointer is past the end when every hop has been visited (RFC 791 3.1).
    if (sourceRoute && (length < 3 || options[i + 2] <= length)) return Verdict::InnerOptions;
    i += length;
  }
  return Verdict::Ok;
}

/// A fragment's size and place must make sense, or the receiver's stack is asked to put nonsense together.
Verdict checkFragment(const InnerView& view, std::size_t length) {
  if (view.moreFragments && length % 8 != 0) return Verdict::FragmentBad;
  if (length == 0 || view.fragmentOffset + length > kMaxPacket - 20) return Verdict::FragmentBad;
  return Verdict::Ok;
}

/// Numbers that mean an extension header in IPv6, and so cannot stand for an upper layer on the wire.
bool isExtensionNumber(std::uint8_t protocol) {
  return protocol == proto::kHopByHop || protocol == proto::kRouting || protocol == proto::kDestination ||
         protocol == proto::kFragment || protocol == proto::kBeet;
}

/// IPv4 allows UDP without a checksum, IPv6 does not (RFC 7915 4.5).
Verdict fillUdpChecksum(Bytes upper, const InnerPair& pair) {
  const std::size_t length = load16(upper.data() + 4);
  if (length < 8 || length > upper.size()) return Verdict::InnerHeader;
  const std::uint16_t checksum =
      checksumOf(sumBytes(upper.first(length), pair.hitSum + sumPseudo(proto::kUdp, length)));
  store16(upper.data() + 6, checksum == 0 ? 0xffffU : checksum);
  return Verdict::Ok;
}

Verdict outboundHit(Frame& frame, const InnerView& view, const InnerPair& pair, Outbound& out) {
  if (sourceHit(frame.view()) != pair.localHit || destinationHit(frame.view()) != pair.peerHit) {
    return Verdict::InnerAddress;
  }
  // Next Header 94 tells the receiver of IPv4 options (RFC 7402 B.1.7), so nothing else can be carried under it.
  if (view.firstHeader == proto::kBeet) return Verdict::InnerHeader;
  if (view.first && view.protocol == proto::kIcmp6 && isLinkLocalIcmp6(view.icmpType)) return Verdict::IcmpType;
  out.nextHeader = view.firstHeader;
  // Hop-by-hop options and routing headers stand before a fragment header: such packets are left whole.
  const bool headersInFront = view.firstHeader == proto::kHopByHop || view.firstHeader == proto::kRouting ||
                              (view.fragmentHeader && view.firstHeader != proto::kFragment);
  out.mayFragment = view.totalLength <= kIpv6MinMtu && !headersInFront;
  frame.start += view.baseLength;
  frame.length = view.totalLength - std::size_t{view.baseLength};
  return Verdict::Ok;
}

Verdict outboundLsi(Frame& frame, const InnerView& view, const InnerPair& pair, Outbound& out) {
  if (!pair.hasLsi) return Verdict::LsiUnknown;
  if (sourceLsi(frame.view()) != pair.localLsi || destinationLsi(frame.view()) != pair.peerLsi) {
    return Verdict::InnerAddress;
  }
  if (view.options) {
    const View options = frame.view().subspan(20, view.baseLength - 20U);
    if (const Verdict verdict = checkOptions(options); verdict != Verdict::Ok) return verdict;
  }
  if (isExtensionNumber(view.protocol)) return Verdict::InnerHeader;
  if (view.protocol == proto::kIcmp6) return Verdict::IcmpType;
  const Bytes upper = frame.bytes().subspan(view.upperOffset, view.upperLength());
  if (view.fragment) {
    if (const Verdict verdict = checkFragment(view, upper.size()); verdict != Verdict::Ok) return verdict;
  }
  out.mayFragment = !view.dontFragment;

  if (view.protocol == proto::kIcmp) {
    // ICMPv6's checksum covers the whole message's length, which no fragment knows (RFC 7915 1.2).
    if (view.fragment) return Verdict::FragmentIcmp;
    out.nextHeader = proto::kIcmp6;
    out.mayFragment |= view.icmpError;
    return icmpToWire(frame, view, pair);
  }

  if (view.first) {
    const bool noChecksum = view.protocol == proto::kUdp && upper.size() >= 8 && load16(upper.data() + 6) == 0;
    if (noChecksum && view.fragment) return Verdict::FragmentZeroChecksum;
    if (noChecksum) {
      if (const Verdict verdict = fillUdpChecksum(upper, pair); verdict != Verdict::Ok) return verdict;
    } else if (!moveChecksum(view.protocol, upper, pair.lsiSum, pair.hitSum)) {
      return view.fragment ? Verdict::FragmentBad : Verdict::InnerTruncated;
    }
  }
  frame.start += view.upperOffset;
  frame.length = upper.size();
  out.nextHeader = view.protocol;
  if (view.fragment) {
    // The IPv4 header in front is at least 20 bytes long and no longer needed.
    frame.start -= 8;
    frame.length += 8;
    writeFragment(frame.data(), view.protocol, view.fragmentOffset, view.moreFragments, view.fragmentId);
    out.nextHeader = proto::kFragment;
  }
  return Verdict::Ok;
}

Verdict inboundHit(Frame& frame, std::uint8_t nextHeader, const InnerView& view, const InnerPair& pair,
                   const Presentation& how) {
  if (nextHeader == proto::kBeet) {
    // IPv4 options of a peer that sends them mean nothing in IPv6. parsePayload has seen that the header fits.
    const std::size_t length = (std::size_t{frame.data()[1]} + 1) * 8;
    nextHeader = frame.data()[0];
    frame.start += length;
    frame.length -= length;
  }
  if (frame.start < 40) return Verdict::BufferSmall;
  if (frame.length > kMaxPacket - 40) return Verdict::InnerHeader;
  if (view.first && view.protocol == proto::kIcmp6 && isLinkLocalIcmp6(view.icmpType)) return Verdict::IcmpType;
  frame.start -= 40;
  writeIpv6(frame.data(), frame.length, how.trafficClass, nextHeader, how.hopLimit, pair.peerHit, pair.localHit);
  frame.length += 40;
  return Verdict::Ok;
}

Verdict inboundLsi(Frame& frame, const InnerView& view, const InnerPair& pair, const Presentation& how) {
  if (!pair.hasLsi) return Verdict::LsiUnknown;
  if (isExtensionNumber(view.protocol)) return Verdict::InnerExtensions;
  if (view.protocol == proto::kIcmp) return Verdict::IcmpType;
  std::uint8_t protocol = view.protocol;
  frame.start += view.upperOffset;
  frame.length = view.upperLength();
  unsigned flags = kDontFragment;
  std::uint16_t id = 0;
  if (view.fragment) {
    // Options between the fragment header and the upper layer count in the offsets, so they cannot be left out.
    if (view.first && view.upperOffset != view.fragmentHeaderOffset + 8) return Verdict::InnerExtensions;
    if (const Verdict verdict = checkFragment(view, frame.length); verdict != Verdict::Ok) return verdict;
    if (protocol == proto::kIcmp6) return Verdict::FragmentIcmp;
    flags = (view.fragmentOffset / 8U) | (view.moreFragments ? unsigned{kMoreFragments} : 0U);
    id = static_cast<std::uint16_t>(view.fragmentId);
  }
  if (protocol == proto::kIcmp6) {
    if (const Verdict verdict = icmpFromWire(frame, pair); verdict != Verdict::Ok) return verdict;
    protocol = proto::kIcmp;
  } else if (view.first && !moveChecksum(protocol, frame.bytes(), pair.hitSum, pair.lsiSum)) {
    return view.fragment ? Verdict::FragmentBad : Verdict::InnerTruncated;
  }
  if (frame.start < 20) return Verdict::BufferSmall;
  if (frame.length > kMaxPacket - 20) return Verdict::InnerHeader;
  frame.start -= 20;
  frame.length += 20;
  writeIpv4(frame.data(), frame.length, how.trafficClass, id, static_cast<std::uint16_t>(flags), how.hopLimit, protocol,
            pair.peerLsi, pair.localLsi);
  return Verdict::Ok;
}

}  // namespace

Verdict outbound(Frame& frame, const InnerView& view, const InnerPair& pair, Outbound& out) {
  if (frame.length < view.totalLength) return Verdict::InnerTruncated;
  frame.length = view.totalLength;
  out.trafficClass = view.trafficClass;
  out.hopLimit = view.hopLimit;
  out.dontFragment = view.dontFragment;
  out.family = view.family;
  out.fragmentId = view.fragmentId;
  return view.family == InnerFamily::Hit ? outboundHit(frame, view, pair, out) : outboundLsi(frame, view, pair, out);
}

Verdict inbound(Frame& frame, std::uint8_t nextHeader, const InnerView& view, const InnerPair& pair,
                const Presentation& how) {
  if (nextHeader == proto::kNone) return Verdict::Dummy;
  if (frame.length != view.totalLength) return Verdict::InnerTruncated;
  // Between two hosts there is nowhere to route on to.
  if (view.sourceRoute) return Verdict::InnerOptions;
  return how.family == InnerFamily::Hit ? inboundHit(frame, nextHeader, view, pair, how)
                                        : inboundLsi(frame, view, pair, how);
}

Fragmenter::Fragmenter(View payload, const Outbound& out, std::size_t capacity, std::uint32_t id)
    : data_(payload), capacity_(capacity), id_(id), upper_(out.nextHeader) {
  if (out.nextHeader != proto::kFragment || payload.size() < 8) return;
  // A fragment is split into smaller ones of the same datagram.
  upper_ = payload[0];
  offset_ = load16(payload.data() + 2) & 0xfff8U;
  lastHasMore_ = (payload[3] & 1U) != 0;
  id_ = load32(payload.data() + 4);
  data_ = payload.subspan(8);
}

bool Fragmenter::next(std::uint8_t& nextHeader, std::array<View, 2>& pieces) {
  if (data_.empty() || capacity_ < 16) return false;
  const std::size_t room = capacity_ - 8;
  const bool last = data_.size() <= room;
  const std::size_t length = last ? data_.size() : room / 8 * 8;
  writeFragment(header_.data(), upper_, offset_, !last || lastHasMore_, id_);
  nextHeader = proto::kFragment;
  pieces = {View(header_), data_.first(length)};
  data_ = data_.subspan(length);
  offset_ = static_cast<std::uint16_t>(offset_ + length);
  return true;
}

}  // namespace beet
}  // namespace hipd
