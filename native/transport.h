// Where things stand in TCP and UDP headers (RFC 9293 3.1, RFC 768).
#pragma once

#include "types.h"

namespace hipd {

/// Without options.
inline constexpr std::size_t kTcpHeader = 20;
inline constexpr std::size_t kMaxTcpHeader = 60;
inline constexpr std::size_t kUdpHeader = 8;

/// Offsets of the checksums.
inline constexpr std::size_t kTcpChecksum = 16;
inline constexpr std::size_t kUdpChecksum = 6;

/// Bits of byte 13 of a TCP header.
inline constexpr std::uint8_t kFin = 0x01;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kReset = 0x04;
inline constexpr std::uint8_t kPush = 0x08;
inline constexpr std::uint8_t kUrgent = 0x20;
inline constexpr std::uint8_t kCwr = 0x80;

}  // namespace hipd
