#include "view.h"

namespace hipd {
namespace {

bool hasPorts(std::uint8_t protocol) {
  return protocol == proto::kTcp || protocol == proto::kUdp || protocol == proto::kUdpLite ||
         protocol == proto::kDccp || protocol == proto::kSctp;
}

bool isIcmp4Error(std::uint8_t type) {
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

/// Ports or ICMP type. Fields that the packet is too short for stay 0.
void readUpper(View packet, InnerView& view) {
  if (!view.first || view.upperOffset >= packet.size()) return;
  const View upper = packet.subspan(view.upperOffset);
  if (hasPorts(view.protocol)) {
    if (upper.size() < 4) return;
    view.sourcePort = load16(upper.data());
    view.destinationPort = load16(upper.data() + 2);
    return;
  }
  const bool icmp4 = view.protocol == proto::kIcmp;
  if (!icmp4 && view.protocol != proto::kIcmp6) return;
  if (upper.size() < 2) return;
  view.icmpType = upper[0];
  view.icmpCode = upper[1];
  view.icmpError = icmp4 ? isIcmp4Error(view.icmpType) : view.icmpType < 128;
  const bool echo = icmp4 ? view.icmpType == 0 || view.icmpType == 8 : view.icmpType == 128 || view.icmpType == 129;
  if (echo && upper.size() >= 6) view.sourcePort = view.destinationPort = load16(upper.data() + 4);
}

/// Follows IPv6 extension headers from `offset` (RFC 8200 4), and at the very front of a payload the pseudo header that
/// carries IPv4 options (RFC 7402 B.1.7). With `whole`, a header that does not fit is an error.
Verdict walk(View packet, std::size_t offset, std::uint8_t header, bool whole, InnerView& view) {
  view.firstHeader = header;
  for (unsigned count = 0;; count++) {
    view.protocol = header;
    view.upperOffset = static_cast<std::uint16_t>(offset);
    // AH is taken for an upper layer: it cannot be skipped without breaking what it says.
    const bool extension = header == proto::kHopByHop || header == proto::kRouting || header == proto::kDestination ||
                           header == proto::kFragment || (header == proto::kBeet && offset == 0);
    if (!extension || !view.first) break;
    if (count == kMaxExtensions) return Verdict::InnerExtensions;
    if (offset + 8 > packet.size()) {
      if (whole) return Verdict::InnerTruncated;
      break;
    }
    const std::uint8_t* p = packet.data() + offset;
    std::size_t length = 8;
    if (header == proto::kFragment) {
      // A second fragment header cannot be meant.
      if (view.fragmentHeader) return Verdict::InnerHeader;
      const std::uint16_t word = load16(p + 2);
      view.fragmentHeader = true;
      view.fragmentHeaderOffset = static_cast<std::uint16_t>(offset);
      view.fragmentOffset = word & 0xfff8U;
      view.moreFragments = (word & 1U) != 0;
      view.fragmentId = load32(p + 4);
      view.fragment = view.fragmentOffset != 0 || view.moreFragments;
      view.first = view.fragmentOffset == 0;
    } else {
      if (header == proto::kRouting && p[3] != 0) view.sourceRoute = true;
      length = (static_cast<std::size_t>(p[1]) + 1) * 8;
    }
    if (offset + length > packet.size()) {
      if (whole) return Verdict::InnerTruncated;
      // What follows is cut off; name it, so that its protocol at least is known.
      view.protocol = p[0];
      view.upperOffset = static_cast<std::uint16_t>(packet.size());
      break;
    }
    header = p[0];
    offset += length;
  }
  readUpper(packet, view);
  return Verdict::Ok;
}

Verdict parse4(View packet, bool whole, InnerView& view) {
  if (packet.size() < 20) return Verdict::InnerTruncated;
  const std::uint8_t* p = packet.data();
  const unsigned base = (p[0] & 0x0fU) * 4U;
  const unsigned total = load16(p + 2);
  if (base < 20 || total < base) return Verdict::InnerHeader;
  if (packet.size() < base || (whole && packet.size() < total)) return Verdict::InnerTruncated;
  const unsigned word = load16(p + 6);
  view.family = InnerFamily::Lsi;
  view.trafficClass = p[1];
  view.hopLimit = p[8];
  view.protocol = view.firstHeader = p[9];
  view.dontFragment = (word & 0x4000U) != 0;
  view.moreFragments = (word & 0x2000U) != 0;
  view.fragmentOffset = static_cast<std::uint16_t>((word & 0x1fffU) * 8);
  view.fragment = view.moreFragments || view.fragmentOffset != 0;
  view.first = view.fragmentOffset == 0;
  view.fragmentId = load16(p + 4);
  view.baseLength = view.upperOffset = static_cast<std::uint16_t>(base);
  view.totalLength = static_cast<std::uint16_t>(total);
  view.options = base > 20;
  readUpper(packet.first(packet.size() < total ? packet.size() : total), view);
  return Verdict::Ok;
}

Verdict parse6(View packet, bool whole, InnerView& view) {
  if (packet.size() < 40) return Verdict::InnerTruncated;
  const std::uint8_t* p = packet.data();
  const std::size_t total = 40U + load16(p + 4);
  if (total > kMaxPacket) return Verdict::InnerHeader;
  if (whole && packet.size() < total) return Verdict::InnerTruncated;
  view.family = InnerFamily::Hit;
  view.trafficClass = static_cast<std::uint8_t>((p[0] << 4) | (p[1] >> 4));
  view.hopLimit = p[7];
  view.baseLength = 40;
  view.totalLength = static_cast<std::uint16_t>(total);
  return walk(packet.first(packet.size() < total ? packet.size() : total), 40, p[6], whole, view);
}

Verdict parse(View packet, bool whole, InnerView& view) {
  view = InnerView{};
  if (packet.empty()) return Verdict::InnerTruncated;
  switch (packet[0] >> 4) {
    case 4:
      return parse4(packet, whole, view);
    case 6:
      return parse6(packet, whole, view);
    default:
      return Verdict::InnerVersion;
  }
}

}  // namespace

Verdict parseInner(View packet, InnerView& view) {
  return parse(packet, true, view);
}

Verdict parseEmbedded(View packet, InnerView& view) {
  return parse(packet, false, view);
}

Verdict parsePayload(std::uint8_t firstHeader, View payload, InnerView& view) {
  view = InnerView{};
  if (payload.size() > kMaxPacket) return Verdict::InnerHeader;
  view.totalLength = static_cast<std::uint16_t>(payload.size());
  return walk(payload, 0, firstHeader, true, view);
}

bool isUnroutable(const Hit& address) {
  const auto& b = address.bytes;
  if (b[0] == 0xff) return true;
  for (std::size_t i = 0; i < 15; i++) {
    if (b[i] != 0) return false;
  }
  return b[15] <= 1;
}

bool isUnroutable(const Lsi& address) {
  const std::uint8_t first = address.bytes[0];
  return first == 0 || first == 127 || first >= 224;
}

}  // namespace hipd
