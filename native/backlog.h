// A queue that is not empty for long makes every packet late. Senders that know ECN are told before it must overflow.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hipd {

/// Bytes that may be taken from a queue in a row before those behind them count as late: about 4 ms of a worker's
/// time, more than a burst of a flow that is not too fast.
inline constexpr std::size_t kLongBacklog = 4 * 1024 * 1024;

/// How much has been taken from a queue since it was empty. The kernel does not tell how long its queues are.
class Backlog {
 public:
  void took(std::size_t bytes) { taken_ += bytes; }
  void wasEmpty() { taken_ = 0; }
  /// What is taken now has waited for too long.
  bool tooLong() const { return taken_ >= kLongBacklog; }

 private:
  std::size_t taken_ = 0;
};

/// TOS or traffic class with the mark "congestion experienced" where the sender knows ECN (RFC 3168 5).
constexpr std::uint8_t markCongestion(std::uint8_t trafficClass) {
  return (trafficClass & 3U) == 0 ? trafficClass : static_cast<std::uint8_t>(trafficClass | 3U);
}

}  // namespace hipd
