#include "translate.h"

#include "checksum.h"

namespace hipd::beet {
namespace {

constexpr std::size_t kIcmpHeader = 8;
/// What ICMP errors may grow to, with their IP header (RFC 1812 4.3.2.3, RFC 4443 2.4 c).
constexpr std::size_t kMaxError4 = 576;
constexpr std::size_t kMaxError6 = 1280;
/// The smallest MTU that an IPv4 path can have (RFC 791 3.2).
constexpr std::uint32_t kIpv4MinMtu = 68;

/// Where a protocol keeps a checksum over a pseudo header; 0 for none.
std::size_t checksumOffset(std::uint8_t protocol) {
  switch (protocol) {
    case proto::kTcp:
      return 16;
    case proto::kUdp:
    case proto::kUdpLite:
    case proto::kDccp:
      return 6;
    default:
      return 0;
  }
}

/// What an error's header becomes. `rest` is the second word: pointer, MTU or unused.
struct ErrorHeader {
  std::uint8_t type;
  std::uint8_t code;
  std::uint32_t rest;
};

/// RFC 7915 Figure 3: a byte of the IPv4 header as a byte of the IPv6 header.
bool pointerToWire(std::uint8_t pointer, std::uint32_t& result) {
  static constexpr std::int8_t map[20] = {0, 1, 4, 4, -1, -1, -1, -1, 7, 6, -1, -1, 8, 8, 8, 8, 24, 24, 24, 24};
  if (pointer >= sizeof map || map[pointer] < 0) return false;
  result = static_cast<std::uint32_t>(map[pointer]);
  return true;
}

/// RFC 7915 Figure 6.
bool pointerFromWire(std::uint32_t pointer, std::uint32_t& result) {
  if (pointer >= 40) return false;
  if (pointer >= 24) {
    result = 16;
  } else if (pointer >= 8) {
    result = 12;
  } else {
    static constexpr std::int8_t map[8] = {0, 1, -1, -1, 2, 2, 9, 8};
    if (map[pointer] < 0) return false;
    result = static_cast<std::uint32_t>(map[pointer]);
  }
  return true;
}

/// RFC 7915 4.2. The inner IPv6 header is 20 bytes longer, so is the packet that fits.
bool errorToWire(const std::uint8_t* icmp, ErrorHeader& out) {
  const std::uint8_t code = icmp[1];
  out = {0, 0, 0};
  switch (icmp[0]) {
    case 3:
      switch (code) {
        case 0:
        case 1:
        case 5:
        case 6:
        case 7:
        case 8:
        case 11:
        case 12:
          out.type = 1;
          out.code = 0;
          return true;
        case 2:
          out = {4, 1, 6};
          return true;
        case 3:
          out = {1, 4, 0};
          return true;
        case 4: {
          const std::uint32_t mtu = load16(icmp + 6) + 20U;
          out = {2, 0, mtu < kIpv6MinMtu ? static_cast<std::uint32_t>(kIpv6MinMtu) : mtu};
          return true;
        }
        case 9:
        case 10:
        case 13:
        case 15:
          out = {1, 1, 0};
          return true;
        default:
          return false;
      }
    case 11:
      out = {3, code, 0};
      return code <= 1;
    case 12:
      out.type = 4;
      return (code == 0 || code == 2) && pointerToWire(icmp[4], out.rest);
    default:
      return false;
  }
}

/// RFC 7915 5.2.
bool errorFromWire(const std::uint8_t* icmp, ErrorHeader& out) {
  const std::uint8_t code = icmp[1];
  const std::uint32_t rest = load32(icmp + 4);
  out = {0, 0, 0};
  switch (icmp[0]) {
    case 1:
      out.type = 3;
      switch (code) {
        case 0:
        case 2:
        case 3:
          out.code = 1;
          return true;
        case 1:
          out.code = 10;
          return true;
        case 4:
          out.code = 3;
          return true;
        default:
          return false;
      }
    case 2: {
      const std::uint32_t mtu = rest < kIpv4MinMtu + 20 ? kIpv4MinMtu : rest - 20;
      out = {3, 4, mtu > 0xffff ? 0xffff : mtu};
      return true;
    }
    case 3:
      out = {11, code, 0};
      return code <= 1;
    case 4:
      if (code == 1) {
        out = {3, 2, 0};
        return true;
      }
      out.type = 12;
      if (code != 0 || !pointerFromWire(rest, out.rest)) return false;
      out.rest <<= 24;
      return true;
    default:
      return false;
  }
}

/// The echo type of the other family, or the same number when it is not an echo.
std::uint8_t echoToWire(std::uint8_t type) {
  return type == 8 ? std::uint8_t{128} : type == 0 ? std::uint8_t{129} : type;
}
std::uint8_t echoFromWire(std::uint8_t type) {
  return type == 128 ? std::uint8_t{8} : type == 129 ? std::uint8_t{0} : type;
}

/// Changes the type of an echo message. ICMPv6 also covers a pseudo header, ICMP does not.
void retypeEcho(Bytes icmp, std::uint8_t type, std::uint64_t pseudo, bool toWire) {
  if (icmp.size() < 4) return;
  const std::uint64_t before = load16(icmp.data());
  icmp[0] = type;
  const std::uint64_t after = load16(icmp.data());
  std::uint8_t* const field = icmp.data() + 2;
  if (toWire) {
    store16(field, adjustChecksum(load16(field), before, after + pseudo));
    return;
  }
  std::uint16_t checksum = adjustChecksum(load16(field), before + pseudo, after);
  store16(field, checksum);
  // The one sum that an increment cannot tell from its double: without a pseudo header a message may be all zeros.
  if (checksum == 0 && foldSum(sumBytes(icmp)) == 0) checksum = 0xffff;
  store16(field, checksum);
}

/// Translates the upper layer of an embedded packet as far as it is there.
void moveEmbedded(const InnerView& inner, Bytes upper, const InnerPair& pair, bool toWire) {
  if (!inner.first) return;
  const std::uint8_t icmp = toWire ? proto::kIcmp : proto::kIcmp6;
  if (inner.protocol == icmp) {
    if (upper.empty()) return;
    const std::uint8_t type = toWire ? echoToWire(upper[0]) : echoFromWire(upper[0]);
    const std::uint64_t pseudo = pair.hitSum + sumPseudo(proto::kIcmp6, inner.upperLength());
    if (type != upper[0]) retypeEcho(upper, type, pseudo, toWire);
    return;
  }
  if (toWire) {
    moveChecksum(inner.protocol, upper, pair.lsiSum, pair.hitSum);
  } else {
    moveChecksum(inner.protocol, upper, pair.hitSum, pair.lsiSum);
  }
}

/// The part of an ICMP error that is the embedded packet: RFC 4884 extensions behind it have no meaning for hosts.
/// @param unit what the length field counts; 0 for a type without such a field.
std::size_t embeddedLength(View message, std::uint8_t lengthField, std::size_t unit) {
  const std::size_t all = message.size() - kIcmpHeader;
  const std::size_t said = lengthField * unit;
  return said == 0 || said > all ? all : said;
}

Verdict errorToWireFrame(Frame& frame, const InnerView& view, const InnerPair& pair) {
  const Bytes message = frame.bytes().subspan(view.upperOffset);
  ErrorHeader header;
  if (!errorToWire(message.data(), header)) return Verdict::IcmpType;
  if (checksumOf(sumBytes(message)) != 0) return Verdict::InnerChecksum;

  const bool hasLength = message[0] == 3 || message[0] == 11 || message[0] == 12;
  const std::size_t length = embeddedLength(message, message[5], hasLength ? 4 : 0);
  const Bytes embedded = message.subspan(kIcmpHeader, length);
  InnerView inner;
  if (parseEmbedded(embedded, inner) != Verdict::Ok || inner.family != InnerFamily::Lsi || inner.icmpError ||
      inner.protocol == proto::kIcmp6 || sourceLsi(embedded) != pair.peerLsi ||
      destinationLsi(embedded) != pair.localLsi) {
    return Verdict::IcmpEmbedded;
  }

  // The embedded upper layer stays where it is; the longer headers grow towards the front.
  const std::size_t headers = kIcmpHeader + 40 + (inner.fragment ? 8U : 0U);
  const std::size_t upperAt = view.upperOffset + kIcmpHeader + inner.upperOffset;
  std::size_t upperLength = embedded.size() - inner.upperOffset;
  if (upperLength > kMaxError6 - 40 - headers) upperLength = kMaxError6 - 40 - headers;
  if (frame.start + upperAt < headers) return Verdict::BufferSmall;
  std::uint8_t* const upper = frame.data() + upperAt;
  moveEmbedded(inner, Bytes(upper, upperLength), pair, true);

  const std::uint8_t protocol = inner.protocol == proto::kIcmp ? proto::kIcmp6 : inner.protocol;
  std::uint8_t* const out = upper - headers;
  if (inner.fragment) writeFragment(upper - 8, protocol, inner.fragmentOffset, inner.moreFragments, inner.fragmentId);
  writeIpv6(out + kIcmpHeader, inner.upperLength() + (inner.fragment ? 8U : 0U), inner.trafficClass,
            inner.fragment ? proto::kFragment : protocol, inner.hopLimit, pair.peerHit, pair.localHit);
  out[0] = header.type;
  out[1] = header.code;
  store16(out + 2, 0);
  store32(out + 4, header.rest);
  const Bytes result(out, headers + upperLength);
  store16(out + 2, checksumOf(sumBytes(result, pair.hitSum + sumPseudo(proto::kIcmp6, result.size()))));
  frame.start = static_cast<std::size_t>(out - frame.buffer);
  frame.length = result.size();
  return Verdict::Ok;
}

Verdict errorFromWireFrame(Frame& frame, const InnerPair& pair) {
  const Bytes message = frame.bytes();
  ErrorHeader header;
  if (!errorFromWire(message.data(), header)) return Verdict::IcmpType;
  if (checksumOf(sumBytes(message, pair.hitSum + sumPseudo(proto::kIcmp6, message.size()))) != 0) {
    return Verdict::InnerChecksum;
  }

  const bool hasLength = message[0] == 1 || message[0] == 3;
  const std::size_t length = embeddedLength(message, message[4], hasLength ? 8 : 0);
  const Bytes embedded = message.subspan(kIcmpHeader, length);
  InnerView inner;
  if (parseEmbedded(embedded, inner) != Verdict::Ok || inner.family != InnerFamily::Hit || inner.icmpError ||
      inner.protocol == proto::kIcmp || sourceHit(embedded) != pair.localHit ||
      destinationHit(embedded) != pair.peerHit || inner.upperOffset > inner.totalLength) {
    return Verdict::IcmpEmbedded;
  }

  constexpr std::size_t headers = kIcmpHeader + 20;
  std::size_t upperLength = embedded.size() - inner.upperOffset;
  if (upperLength > kMaxError4 - 20 - headers) upperLength = kMaxError4 - 20 - headers;
  std::uint8_t* const upper = embedded.data() + inner.upperOffset;
  moveEmbedded(inner, Bytes(upper, upperLength), pair, false);

  const std::uint8_t protocol = inner.protocol == proto::kIcmp6 ? proto::kIcmp : inner.protocol;
  const unsigned flags = inner.fragment
                             ? (inner.fragmentOffset / 8U) | (inner.moreFragments ? unsigned{kMoreFragments} : 0U)
                             : unsigned{kDontFragment};
  const std::size_t said = 20U + inner.upperLength();
  std::uint8_t* const out = upper - headers;
  writeIpv4(out + kIcmpHeader, said > kMaxPacket ? kMaxPacket : said, inner.trafficClass,
            static_cast<std::uint16_t>(inner.fragmentId), static_cast<std::uint16_t>(flags), inner.hopLimit, protocol,
            pair.localLsi, pair.peerLsi);
  out[0] = header.type;
  out[1] = header.code;
  store16(out + 2, 0);
  store32(out + 4, header.rest);
  const Bytes result(out, headers + upperLength);
  store16(out + 2, checksumOf(sumBytes(result)));
  frame.start = static_cast<std::size_t>(out - frame.buffer);
  frame.length = result.size();
  return Verdict::Ok;
}

}  // namespace

bool isLinkLocalIcmp6(std::uint8_t type) {
  return (type >= 130 && type <= 137) || (type >= 141 && type <= 143) || (type >= 148 && type <= 149) ||
         (type >= 151 && type <= 153);
}

bool moveChecksum(std::uint8_t protocol, Bytes upper, std::uint16_t fromSum, std::uint16_t toSum) {
  const std::size_t at = checksumOffset(protocol);
  if (at == 0) return true;
  if (upper.size() < at + 2) return false;
  std::uint8_t* const field = upper.data() + at;
  const std::uint16_t old = load16(field);
  if (protocol == proto::kUdp && old == 0) return true;
  const std::uint16_t now = adjustChecksum(old, fromSum, toSum);
  // In UDP and UDP-Lite zero means "none" (RFC 768, RFC 3828 3.1).
  const bool never0 = protocol == proto::kUdp || protocol == proto::kUdpLite;
  store16(field, never0 && now == 0 ? 0xffffU : now);
  return true;
}

Verdict icmpToWire(Frame& frame, const InnerView& view, const InnerPair& pair) {
  if (view.upperLength() < kIcmpHeader) return Verdict::InnerTruncated;
  if (view.icmpError) return errorToWireFrame(frame, view, pair);
  const std::uint8_t type = echoToWire(view.icmpType);
  if (type == view.icmpType || view.icmpCode != 0) return Verdict::IcmpType;
  frame.start += view.upperOffset;
  frame.length = view.upperLength();
  retypeEcho(frame.bytes(), type, pair.hitSum + sumPseudo(proto::kIcmp6, frame.length), true);
  return Verdict::Ok;
}

Verdict icmpFromWire(Frame& frame, const InnerPair& pair) {
  if (frame.length < kIcmpHeader) return Verdict::InnerTruncated;
  const std::uint8_t old = frame.data()[0];
  if (old < 128) return errorFromWireFrame(frame, pair);
  const std::uint8_t type = echoFromWire(old);
  if (type == old || frame.data()[1] != 0) return Verdict::IcmpType;
  retypeEcho(frame.bytes(), type, pair.hitSum + sumPseudo(proto::kIcmp6, frame.length), false);
  return Verdict::Ok;
}

void writeIpv4(std::uint8_t* out, std::size_t totalLength, std::uint8_t trafficClass, std::uint16_t id,
               std::uint16_t flagsAndOffset, std::uint8_t hopLimit, std::uint8_t protocol, const Lsi& source,
               const Lsi& destination) {
  out[0] = 0x45;
  out[1] = trafficClass;
  store16(out + 2, static_cast<std::uint32_t>(totalLength));
  store16(out + 4, id);
  store16(out + 6, flagsAndOffset);
  out[8] = hopLimit;
  out[9] = protocol;
  store16(out + 10, 0);
  std::memcpy(out + 12, source.bytes.data(), 4);
  std::memcpy(out + 16, destination.bytes.data(), 4);
  store16(out + 10, checksumOf(sumBytes(View(out, 20))));
}

void writeIpv6(std::uint8_t* out, std::size_t payloadLength, std::uint8_t trafficClass, std::uint8_t nextHeader,
               std::uint8_t hopLimit, const Hit& source, const Hit& destination) {
  store32(out, 0x60000000U | (static_cast<std::uint32_t>(trafficClass) << 20));
  store16(out + 4, static_cast<std::uint32_t>(payloadLength));
  out[6] = nextHeader;
  out[7] = hopLimit;
  std::memcpy(out + 8, source.bytes.data(), 16);
  std::memcpy(out + 24, destination.bytes.data(), 16);
}

void writeFragment(std::uint8_t* out, std::uint8_t nextHeader, std::uint16_t offset, bool more, std::uint32_t id) {
  out[0] = nextHeader;
  out[1] = 0;
  store16(out + 2, (offset & 0xfff8U) | (more ? 1U : 0U));
  store32(out + 4, id);
}

}  // namespace hipd::beet
