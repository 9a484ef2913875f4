// Who talks to whom, for the flow log: packets and bytes of each conversation in one direction. Off by default; each
// worker has a table of its own, which it alone fills and one other thread reads and clears.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "types.h"
#include "view.h"

namespace hipd {

/// How a flow came to its record.
enum class FlowEnd : std::uint8_t {
  /// TCP said so (FIN or RST).
  Closed,
  /// Nothing came for kFlowIdleMs.
  Idle,
  /// It goes on: what came since its last record.
  Ongoing,
  /// The log is closed.
  Stopped,
};

/// One direction of one conversation. ICMP echo: both ports are the identifier; later fragments and ICMP errors have
/// ports 0.
struct FlowName {
  Hit peer;
  /// As on the wire: ICMP of either family is proto::kIcmp6.
  std::uint8_t protocol = 0;
  /// What the application sees.
  InnerFamily family = InnerFamily::Hit;
  bool inbound = false;
  std::uint16_t localPort = 0;
  std::uint16_t peerPort = 0;
  friend bool operator==(const FlowName&, const FlowName&) = default;
};

struct FlowRecord {
  FlowName name;
  FlowEnd end = FlowEnd::Idle;
  std::uint64_t packets = 0;
  /// With the inner headers, as the application's side of the interface sees them.
  std::uint64_t bytes = 0;
  /// Coarse monotonic milliseconds.
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// Flows of one worker at a time; what does not fit is not counted (Tally::FlowsMissed).
inline constexpr std::size_t kFlowEntries = 4096;
inline constexpr std::uint64_t kFlowIdleMs = 30'000;
/// After FIN or RST: for what still comes.
inline constexpr std::uint64_t kFlowLingerMs = 1'000;
/// A flow without an end has a record this often.
inline constexpr std::uint64_t kFlowOngoingMs = 600'000;

/// The name of a packet from the TUN device. @param view of parseInner.
FlowName outboundName(const Hit& peer, const InnerView& view);
/// The name of a payload from the peer. @param view of parsePayload.
FlowName inboundName(const Hit& peer, const InnerView& view, InnerFamily family);
/// Whether a packet ends its flow. @param packet in which `view.upperOffset` counts.
bool endsFlow(const InnerView& view, View packet);

class FlowLog {
 public:
  /// @param sample one of so many flows is counted, always both directions of it; 0: none.
  explicit FlowLog(std::uint32_t sample);
  void setSample(std::uint32_t sample) { sample_.store(sample, std::memory_order_relaxed); }

  /// The worker's thread. False: there is no place for it.
  bool count(const FlowName& name, std::uint64_t packets, std::uint64_t bytes, bool ends, std::uint64_t now);
  /// Another thread: flows that ended or rest, as many as fit; with `all` every one. Returns how many.
  std::size_t take(std::span<FlowRecord> out, bool all, std::uint64_t now);

 private:
  enum class State : std::uint8_t { Free, Used };
  struct Entry {
    /// Free -> Used by the worker, Used -> Free by the reader.
    std::atomic<State> state{State::Free};
    std::atomic<bool> ended{false};
    /// Written by the worker while it is Free.
    FlowName name;
    std::uint64_t first = 0;
    std::atomic<std::uint64_t> packets{0};
    std::atomic<std::uint64_t> bytes{0};
    std::atomic<std::uint64_t> last{0};
    // The reader's own: what was told of it already.
    std::uint64_t toldPackets = 0;
    std::uint64_t toldBytes = 0;
    std::uint64_t toldAt = 0;
  };

  std::atomic<std::uint32_t> sample_;
  std::unique_ptr<Entry[]> entries_;
  std::size_t cursor_ = 0;
};

}  // namespace hipd
