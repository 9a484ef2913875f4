// A queue that is not empty for long makes every packet late. Senders that know ECN are told before it must overflow.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hipd {

/// How long a queue may go without being empty. Nanoseconds. A packet waits in two, its sender's device and its
/// receiver's socket.
inline constexpr std::uint64_t kLongWait = 1'000'000;
/// Bytes taken in a row below which no wait is long: a burst of a flow that is not too fast, or a worker that had no
/// processor.
inline constexpr std::size_t kShortBacklog = std::size_t{1024} * 1024;
/// And above which it is long on the fastest machine, too.
inline constexpr std::size_t kLongBacklog = 4 * kShortBacklog;
/// Bytes from one marked message to the next. If all were marked until the queue is empty, senders would slow down by
/// so much that it stays empty.
inline constexpr std::size_t kMarkEvery = kShortBacklog / 2;

/// How much has been taken from a queue since it was empty, and for how long. The kernel does not tell how long its
/// queues are. Knows no clock; instants are in nanoseconds and never 0.
class Backlog {
 public:
  /// Asks the clock once in every kMarkEvery bytes.
  template <class Clock>
  void took(std::size_t bytes, Clock&& now) {
    taken_ += bytes;
    if (taken_ < next_) return;
    next_ = (taken_ / kMarkEvery + 1) * kMarkEvery;
    const std::uint64_t at = now();
    if (began_ == 0) began_ = at;
    late_ = taken_ >= kLongBacklog || (taken_ >= kShortBacklog && at - began_ >= kLongWait);
  }
  void wasEmpty() { *this = {}; }
  /// Whether somebody is to be told who is behind what was taken.
  bool late() const { return late_; }
  void told() { late_ = false; }

 private:
  std::size_t taken_ = 0;
  std::size_t next_ = kMarkEvery / 2;
  std::uint64_t began_ = 0;
  bool late_ = false;
};

/// TOS or traffic class with the mark "congestion experienced" where the sender knows ECN (RFC 3168 5).
constexpr std::uint8_t markCongestion(std::uint8_t trafficClass) {
  return (trafficClass & 3U) == 0 ? trafficClass : static_cast<std::uint8_t>(trafficClass | 3U);
}

}  // namespace hipd
