#include "icmp.h"

#include "checksum.h"
#include "translate.h"
#include "view.h"

namespace hipd {
namespace {

constexpr std::size_t kIcmpHeader = 8;
constexpr std::size_t kMaxError4 = 576;
constexpr std::size_t kMaxError6 = 1280;

bool deservesAnswer(View offending, InnerView& view) {
  if (parseInner(offending, view) != Verdict::Ok) return false;
  if (!view.first || view.icmpError) return false;
  if (view.family == InnerFamily::Lsi) {
    return !isUnroutable(destinationLsi(offending)) && !isUnroutable(sourceLsi(offending));
  }
  if (view.protocol == proto::kIcmp6 && beet::isLinkLocalIcmp6(view.icmpType)) return false;
  return !isUnroutable(destinationHit(offending)) && !isUnroutable(sourceHit(offending));
}

std::size_t error4(IcmpError error, View offending, const InnerView& view, std::size_t mtu, Bytes out) {
  std::size_t copied = view.totalLength;
  if (copied > kMaxError4 - 20 - kIcmpHeader) copied = kMaxError4 - 20 - kIcmpHeader;
  const std::size_t length = 20 + kIcmpHeader + copied;
  if (out.size() < length) return 0;
  std::uint8_t* const icmp = out.data() + 20;
  std::memset(icmp, 0, kIcmpHeader);
  icmp[0] = 3;
  switch (error) {
    case IcmpError::HostUnreachable:
      icmp[1] = 1;
      break;
    case IcmpError::Prohibited:
      icmp[1] = 13;
      break;
    case IcmpError::TooBig:
      icmp[1] = 4;
      store16(icmp + 6, static_cast<std::uint32_t>(mtu > 0xffff ? 0xffff : mtu));
      break;
  }
  std::memcpy(icmp + kIcmpHeader, offending.data(), copied);
  store16(icmp + 2, checksumOf(sumBytes(View(icmp, kIcmpHeader + copied))));
  beet::writeIpv4(out.data(), length, 0, 0, beet::kDontFragment, beet::kHopLimit, proto::kIcmp,
                  destinationLsi(offending), sourceLsi(offending));
  return length;
}

/// Fills in the checksum of an ICMPv6 message whose IPv6 header stands before it.
void finish6(Bytes packet) {
  std::uint8_t* const icmp = packet.data() + 40;
  const Bytes message = packet.subspan(40);
  store16(icmp + 2, 0);
  const std::uint64_t pseudo = sumAddresses(sourceHit(packet), destinationHit(packet));
  store16(icmp + 2, checksumOf(sumBytes(message, pseudo + sumPseudo(proto::kIcmp6, message.size()))));
}

std::size_t error6(IcmpError error, View offending, const InnerView& view, std::size_t mtu, Bytes out) {
  std::size_t copied = view.totalLength;
  if (copied > kMaxError6 - 40 - kIcmpHeader) copied = kMaxError6 - 40 - kIcmpHeader;
  const std::size_t length = 40 + kIcmpHeader + copied;
  if (out.size() < length) return 0;
  beet::writeIpv6(out.data(), kIcmpHeader + copied, 0, proto::kIcmp6, beet::kHopLimit, destinationHit(offending),
                  sourceHit(offending));
  std::uint8_t* const icmp = out.data() + 40;
  std::memset(icmp, 0, kIcmpHeader);
  switch (error) {
    case IcmpError::HostUnreachable:
      icmp[0] = 1;
      icmp[1] = 3;
      break;
    case IcmpError::Prohibited:
      icmp[0] = 1;
      icmp[1] = 1;
      break;
    case IcmpError::TooBig:
      icmp[0] = 2;
      store32(icmp + 4, static_cast<std::uint32_t>(mtu));
      break;
  }
  std::memcpy(icmp + kIcmpHeader, offending.data(), copied);
  finish6(out.first(length));
  return length;
}

}  // namespace

std::size_t buildIcmpError(IcmpError error, View offending, std::size_t mtu, Bytes out) {
  InnerView view;
  if (!deservesAnswer(offending, view)) return 0;
  return view.family == InnerFamily::Lsi ? error4(error, offending, view, mtu, out)
                                         : error6(error, offending, view, mtu, out);
}

namespace {
std::size_t buildEcho(std::uint8_t type, const Hit& source, const Hit& destination, std::uint16_t identifier,
                      std::uint16_t sequence, View data, Bytes out) {
  const std::size_t length = 40 + kIcmpHeader + data.size();
  if (out.size() < length || length > kMaxPacket) return 0;
  beet::writeIpv6(out.data(), kIcmpHeader + data.size(), 0, proto::kIcmp6, beet::kHopLimit, source, destination);
  std::uint8_t* const icmp = out.data() + 40;
  icmp[0] = type;
  icmp[1] = 0;
  store16(icmp + 4, identifier);
  store16(icmp + 6, sequence);
  if (!data.empty()) std::memcpy(icmp + kIcmpHeader, data.data(), data.size());
  finish6(out.first(length));
  return length;
}
}  // namespace

std::size_t buildEchoRequest(const Hit& source, const Hit& destination, std::uint16_t identifier,
                             std::uint16_t sequence, View data, Bytes out) {
  return buildEcho(128, source, destination, identifier, sequence, data, out);
}

std::size_t buildEchoReply(const Hit& source, const Hit& destination, std::uint16_t identifier, std::uint16_t sequence,
                           View data, Bytes out) {
  return buildEcho(129, source, destination, identifier, sequence, data, out);
}

bool parseEcho(std::uint8_t type, View payload, const Hit& localHit, const Hit& peerHit, EchoMessage& message) {
  if (payload.size() < kIcmpHeader || payload[0] != type || payload[1] != 0) return false;
  const std::uint64_t pseudo = sumAddresses(localHit, peerHit) + sumPseudo(proto::kIcmp6, payload.size());
  if (checksumOf(sumBytes(payload, pseudo)) != 0) return false;
  message.identifier = load16(payload.data() + 4);
  message.sequence = load16(payload.data() + 6);
  message.data = payload.subspan(kIcmpHeader);
  return true;
}

}  // namespace hipd
