// The nouns that the whole data plane shares. Free of Node, of sockets and of OpenSSL.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace hipd {

/// Bytes that may be written.
using Bytes = std::span<std::uint8_t>;
/// Bytes that may only be read.
using View = std::span<const std::uint8_t>;
/// The bytes of one packet in order. More than one piece when header and data lie apart (segmentation offload).
using Pieces = std::span<const View>;

/// A Host Identity Tag (RFC 7401 3.1) or any other IPv6 address, in network order.
struct Hit {
  std::array<std::uint8_t, 16> bytes{};
  friend bool operator==(const Hit&, const Hit&) = default;
};

/// A Local Scope Identifier (RFC 9063 4.4) or any other IPv4 address, in network order. Never on the wire.
struct Lsi {
  std::array<std::uint8_t, 4> bytes{};
  friend bool operator==(const Lsi&, const Lsi&) = default;
};

/// How an inner packet shows itself to applications: IPv6 between HITs or IPv4 between LSIs.
enum class InnerFamily : std::uint8_t { Hit = 6, Lsi = 4 };

/// How ESP travels: inside UDP (RFC 3948, RFC 9028 5.1) or as IP protocol 50.
enum class Carrier : std::uint8_t { Udp, None };

/// Room that every packet buffer keeps before its first byte: an inner IPv6 header and its fragment header
/// are written there when less stood before (ESP opened in place, ICMP errors that grow).
inline constexpr std::size_t kHeadroom = 96;
/// Room behind the last byte: ESP padding, trailer and ICV when sealing in place.
inline constexpr std::size_t kTailroom = 64;
/// The largest inner packet: an IPv4 packet's total length is 16 bits; larger IPv6 ones do not exist without
/// jumbograms.
inline constexpr std::size_t kMaxPacket = 65535;

/// A packet inside a writable buffer. `start` bytes are free before it and `capacity - start - length` behind it.
struct Frame {
  std::uint8_t* buffer = nullptr;
  std::size_t capacity = 0;
  std::size_t start = 0;
  std::size_t length = 0;

  std::uint8_t* data() const { return buffer + start; }
  Bytes bytes() const { return {buffer + start, length}; }
  View view() const { return {buffer + start, length}; }
  std::size_t headroom() const { return start; }
  std::size_t tailroom() const { return capacity - start - length; }
};

inline std::uint16_t load16(const std::uint8_t* p) {
  return static_cast<std::uint16_t>((static_cast<unsigned>(p[0]) << 8) | p[1]);
}
inline std::uint32_t load32(const std::uint8_t* p) {
  return (static_cast<std::uint32_t>(load16(p)) << 16) | load16(p + 2);
}
inline std::uint64_t load64(const std::uint8_t* p) {
  return (static_cast<std::uint64_t>(load32(p)) << 32) | load32(p + 4);
}
inline void store16(std::uint8_t* p, std::uint32_t v) {
  p[0] = static_cast<std::uint8_t>(v >> 8);
  p[1] = static_cast<std::uint8_t>(v);
}
inline void store32(std::uint8_t* p, std::uint32_t v) {
  store16(p, v >> 16);
  store16(p + 2, v & 0xffffU);
}
inline void store64(std::uint8_t* p, std::uint64_t v) {
  store32(p, static_cast<std::uint32_t>(v >> 32));
  store32(p + 4, static_cast<std::uint32_t>(v));
}

inline Hit hitAt(const std::uint8_t* p) {
  Hit hit;
  std::memcpy(hit.bytes.data(), p, hit.bytes.size());
  return hit;
}
inline Lsi lsiAt(const std::uint8_t* p) {
  Lsi lsi;
  std::memcpy(lsi.bytes.data(), p, lsi.bytes.size());
  return lsi;
}

/// IP protocol numbers (IANA) that the data plane looks at.
namespace proto {
inline constexpr std::uint8_t kHopByHop = 0;
inline constexpr std::uint8_t kIcmp = 1;
inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;
inline constexpr std::uint8_t kDccp = 33;
inline constexpr std::uint8_t kRouting = 43;
inline constexpr std::uint8_t kFragment = 44;
inline constexpr std::uint8_t kEsp = 50;
inline constexpr std::uint8_t kAh = 51;
inline constexpr std::uint8_t kIcmp6 = 58;
inline constexpr std::uint8_t kNone = 59;
inline constexpr std::uint8_t kDestination = 60;
inline constexpr std::uint8_t kBeet = 94;
inline constexpr std::uint8_t kSctp = 132;
inline constexpr std::uint8_t kMobility = 135;
inline constexpr std::uint8_t kUdpLite = 136;
inline constexpr std::uint8_t kHip = 139;
inline constexpr std::uint8_t kShim6 = 140;
}  // namespace proto

}  // namespace hipd
