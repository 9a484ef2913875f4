// Segments that came in a row become one super-packet for the TUN device: the local stack then works once for many.
// The rules are those of the kernel's GRO, so that nothing is joined that could not be cut into the same packets again.
// All wait for the flush at the end of a batch, complete ones too: the application that a write wakes then finds the
// next packets there as well, in place of being woken, and of taking the processor from us, for each.
#pragma once

#include <sys/uio.h>

#include "beet.h"
#include "types.h"
#include "verdict.h"
#include "virtio.h"

namespace hipd {

/// Packets that are collected or wait at the same time; one more makes the oldest leave.
inline constexpr std::size_t kCoalesceGroups = 32;
/// Segments of one super-packet.
inline constexpr std::size_t kCoalesceSegments = 64;

/// One TCP segment or UDP datagram as ESP carried it: no extension headers, no fragment.
struct Arrival {
  /// Names the peer: equal for all its packets.
  const void* peer = nullptr;
  /// Lives until the coalescer is flushed. May change within a flow.
  const InnerPair* pair = nullptr;
  InnerFamily family = InnerFamily::Hit;
  std::uint8_t trafficClass = 0;
  std::uint8_t hopLimit = beet::kHopLimit;
  /// proto::kTcp or proto::kUdp.
  std::uint8_t protocol = 0;
  /// Transport header and data. Must stay until the coalescer is flushed.
  Bytes upper;
};

/// A packet for the TUN device in pieces: virtio-net header, inner headers, data.
struct Departure {
  std::span<const iovec> pieces;
  /// Arrivals in it.
  std::size_t count = 0;
};

/// Not thread-safe. Allocates nothing.
class Coalescer {
 public:
  /// Takes each packet that leaves. `context` is the one given here.
  using Write = void (*)(void* context, const Departure& departure);
  Coalescer(Write write, void* context) : write_(write), context_(context) {}

  /// What may be joined; everything may until told otherwise.
  void allow(bool tcp, bool udp) {
    tcp_ = tcp;
    udp_ = udp;
  }
  /// Whether `add` takes this payload.
  /// @param upper ESP's payload under `nextHeader`.
  static bool takes(std::uint8_t nextHeader, View upper);

  /// Takes one arrival for which `takes` said yes, and keeps it until `flush`. Order within a flow stays. @return Ok,
  /// or why the packet cannot be shown in its family (LsiUnknown, InnerHeader).
  Verdict add(const Arrival& arrival);
  /// Writes everything that waits, oldest first.
  void flush();
  bool empty() const { return used_ == 0; }

 private:
  struct Group {
    Arrival head;
    std::uint32_t ports = 0;
    /// TCP: the next segment's sequence number.
    std::uint32_t next = 0;
    /// TCP: FIN and PSH of all segments.
    std::uint8_t tail = 0;
    /// No other segment joins it.
    bool complete = false;
    /// The first segment's checksum: not looked at yet, right, or wrong.
    enum class Sum : std::uint8_t { Unknown, Right, Wrong } sum = Sum::Unknown;
    std::size_t header = 0;  // of the transport
    std::size_t size = 0;    // data bytes of each segment but the last
    std::size_t data = 0;    // of all
    std::size_t count = 0;
    std::array<iovec, kCoalesceSegments + 1> pieces;
  };

  Group* find(const Arrival& arrival, std::uint32_t ports);
  bool joins(Group& group, const Arrival& arrival, std::size_t header) const;
  void append(Group& group, const Arrival& arrival, std::size_t header);
  void begin(const Arrival& arrival, std::uint32_t ports, std::size_t header, bool complete);
  void writeOut(Group& group);
  void writeAlone(const Arrival& arrival);

  Write write_;
  void* context_;
  bool tcp_ = true;
  bool udp_ = true;
  std::size_t used_ = 0;
  /// The groups in use, oldest first, then the free ones.
  std::array<std::uint8_t, kCoalesceGroups> order_ = firstOrder();
  static constexpr std::array<std::uint8_t, kCoalesceGroups> firstOrder() {
    std::array<std::uint8_t, kCoalesceGroups> order{};
    for (std::size_t i = 0; i < order.size(); i++) order[i] = static_cast<std::uint8_t>(i);
    return order;
  }
  std::array<Group, kCoalesceGroups> groups_;
};

}  // namespace hipd
