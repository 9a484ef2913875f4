// Which family the local side used: so that answers of a peer without a second SPI come back as the application asked.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "types.h"
#include "view.h"

namespace hipd {

/// One conversation as both directions see it. ICMP echo: both ports are the identifier. Later fragments:
/// proto::kFragment and the two halves of the identification.
struct FlowKey {
  Hit peer;
  std::uint8_t protocol = 0;
  std::uint16_t localPort = 0;
  std::uint16_t peerPort = 0;
};

/// The flow of a packet from the TUN device. @param view of parseInner.
FlowKey outboundFlow(const Hit& peer, const InnerView& view);
/// The flow of a payload from the peer. An ICMP error belongs to the flow of the packet that it embeds.
/// @param view of parsePayload for `payload`.
FlowKey inboundFlow(const Hit& peer, const InnerView& view, View payload);

/// Remembers the family of the latest flows. Bounded: a new flow takes the place of one of the oldest. Thread-safe
/// without locks, so that one table can serve all workers; a lost race only costs a memory.
class FlowTable {
 public:
  static constexpr std::size_t kDefaultEntries = 1U << 15;
  /// @param entries a power of two, at least 4; 8 bytes each. @param secret random: flows that collide cannot be
  /// chosen.
  FlowTable(std::size_t entries, const std::array<std::uint64_t, 2>& secret);

  /// @param now coarse seconds, any origin.
  void remember(const FlowKey& key, InnerFamily family, std::uint32_t now);
  std::optional<InnerFamily> find(const FlowKey& key, std::uint32_t now);
  /// The family for an inbound payload: of its flow, else `otherwise`. A first fragment makes its later ones follow.
  InnerFamily decide(const Hit& peer, const InnerView& view, View payload, InnerFamily otherwise, std::uint32_t now);

  /// All that it knows: the places that are taken, of `size` places.
  struct Memory {
    std::uint32_t size = 0;
    std::array<std::uint64_t, 2> secret{};
    std::vector<std::pair<std::uint32_t, std::uint64_t>> entries;
  };
  Memory save() const;
  /// While nobody else uses it. False when it comes from a table of another size.
  bool restore(const Memory& memory);

 private:
  std::uint64_t hash(const FlowKey& key) const;
  std::size_t mask_;
  std::array<std::uint64_t, 2> secret_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> entries_;
};

}  // namespace hipd
