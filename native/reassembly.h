// Fragmented ICMP messages, put together before translation: ICMPv6's checksum covers the length of the whole message,
// which no fragment knows. Everything else that is fragmented is translated fragment by fragment.
#pragma once

#include <array>
#include <bitset>
#include <memory>

#include "types.h"
#include "verdict.h"
#include "view.h"

namespace hipd {

/// The fragments of a worker's latest ICMP messages. Not thread-safe. Bounded: a new message takes the place of the
/// oldest.
class IcmpReassembly {
 public:
  /// Messages that may be incomplete at once.
  static constexpr std::size_t kMessages = 8;
  /// Seconds for which an incomplete message is kept.
  static constexpr std::uint32_t kPatience = 5;

  IcmpReassembly();

  /// Whether a packet from the TUN device is one of those that `addPacket` wants.
  static bool wantsPacket(const InnerView& view) {
    return view.family == InnerFamily::Lsi && view.fragment && view.protocol == proto::kIcmp;
  }
  /// Whether a payload that is to be shown as IPv4 is one of those that `addPayload` wants.
  static bool wantsPayload(const InnerView& view) { return view.fragment && view.protocol == proto::kIcmp6; }

  /// Takes an IPv4 fragment. @param peer of its destination. @param now coarse seconds.
  /// @return Ok: `whole` is the IPv4 packet without fragmentation, in memory of this object with kHeadroom, until the
  /// next
  ///         call; Pending: others are missing; FragmentBad: it contradicts the others, and all are dropped.
  Verdict addPacket(const Hit& peer, View packet, const InnerView& view, std::uint32_t now, Frame& whole);
  /// Takes a payload with a fragment header. @return as addPacket; `whole` is the ICMPv6 message, Next Header 58.
  Verdict addPayload(const Hit& peer, View payload, const InnerView& view, std::uint32_t now, Frame& whole);

  /// Fragments that were dropped since the last call because theirs came too late or too many messages were incomplete:
  /// to be counted as FragmentIcmp.
  std::uint32_t takeLost();

 private:
  static constexpr std::size_t kUnit = 8;
  static constexpr std::size_t kRoom = kHeadroom + 60;
  static constexpr std::size_t kLargest = kMaxPacket - 20;

  struct Message {
    bool active = false;
    bool outbound = false;
    Hit peer;
    std::uint32_t id = 0;
    std::uint32_t since = 0;
    std::uint32_t fragments = 0;
    /// Of all fragments together; 0 while the last one is missing.
    std::size_t total = 0;
    std::size_t received = 0;
    /// The end of what has been received.
    std::size_t reach = 0;
    std::size_t headerLength = 0;
    std::array<std::uint8_t, 60> header{};
    std::bitset<(kLargest + kUnit - 1) / kUnit> units;
    std::unique_ptr<std::uint8_t[]> memory;
  };

  Message& messageFor(bool outbound, const Hit& peer, std::uint32_t id, std::uint32_t now);
  void forget(Message& message);
  Verdict add(Message& message, const InnerView& view, View data);

  std::array<Message, kMessages> messages_;
  std::uint32_t lost_ = 0;
};

}  // namespace hipd
