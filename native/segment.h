// Super-packets from the TUN device: one header and the data of many segments (TSO, USO). Cut here into what TCP or
// UDP on the wire would have been, in place, without copying data.
#pragma once

#include "beet.h"
#include "types.h"
#include "verdict.h"
#include "view.h"
#include "virtio.h"

namespace hipd {

/// Segments that one super-packet may have: 64 KiB at TCP's smallest segments need fewer.
inline constexpr std::size_t kMaxSegments = 2048;
/// Base, extension and transport headers of a super-packet.
inline constexpr std::size_t kMaxSuperHeader = 512;
/// Bytes behind each segment that its reader may spoil (ESP's trailer).
inline constexpr std::size_t kSpoil = 32;
static_assert(kSpoil <= kTailroom);

/// Where things are in a super-packet. Checked against the packet: nothing lies beyond its end.
struct Super {
  /// proto::kTcp or proto::kUdp.
  std::uint8_t protocol = 0;
  /// Where the transport header begins.
  std::uint16_t upper = 0;
  /// Where the data begins.
  std::uint16_t header = 0;
  /// Data bytes of each segment; the last may have fewer.
  std::uint16_t size = 0;
  /// At least 2; 0 when the packet is not a super-packet.
  std::uint16_t count = 0;

  /// The same when `stripped` bytes in front are gone.
  Super without(std::size_t stripped) const;
};

/// Reads what the virtio-net header says about `packet`, which it may lie about. A checksum that was left to us is
/// finished, but for super-packets, whose segments get their own.
/// @param packet of view.totalLength bytes. @param view parseInner's result.
/// @param super what to cut; count 0 for a packet that is complete now.
/// @return Ok or OffloadHeader.
Verdict settleOffload(const VirtioHeader& header, Bytes packet, const InnerView& view, Super& super);

/// Cuts a super-packet.
class Segmenter {
 public:
  /// @param bytes a whole inner packet, or its payload as beet::outbound leaves it, with kSpoil writable bytes behind.
  ///        Spoiled piece by piece. @param super fits `bytes`. @param addressSum the pseudo header's addresses.
  /// @param base Hit or Lsi: `bytes` begins with this header, which each segment gets, made right (RFC 791, RFC 8200).
  ///        Payload: there is none.
  enum class Base : std::uint8_t { Payload, Ipv6, Ipv4 };
  Segmenter(Bytes bytes, const Super& super, std::uint16_t addressSum, Base base = Base::Payload);

  /// The next segment: headers and data, contiguous, its checksum complete. Valid until the next call; kSpoil bytes
  /// behind it may be overwritten. @return false when there is none left.
  bool next(Bytes& segment);

 private:
  void patchTcp(std::uint8_t* upper, View data, bool first, bool last);
  void patchUdp(std::uint8_t* upper, View data);
  void patchBase(std::uint8_t* base, std::size_t length);

  Bytes bytes_;
  Super super_;
  Base base_;
  std::size_t at_;
  std::size_t index_ = 0;
  std::uint64_t sum_;
  std::uint32_t sequence_ = 0;
  std::uint8_t flags_ = 0;
  std::array<std::uint8_t, kMaxSuperHeader> header_;
  std::array<std::uint8_t, kSpoil> spoiled_;
};

}  // namespace hipd
