// Whether a worker looks for more packets for a moment before it sleeps. What comes in a stream that is limited by
// processors comes within microseconds. To sleep in between costs both ends: the sender interrupts another processor
// each time, and while ours is idle the kernel moves programs to it, away from the data they work on. Elsewhere looking
// would only burn time; so a worker looks for no longer than it has just worked, and only as long as that mostly helps.
#pragma once

#include <algorithm>
#include <cstdint>

namespace hipd {

/// Nanoseconds of one look at most.
inline constexpr std::uint64_t kLongestLook = 50'000;
/// Points: one for each time that more came while a look could have lasted, less two for each other. A worker looks
/// from half of the most on, that is while two of three looks help.
inline constexpr unsigned kMostTrust = 16;
inline constexpr unsigned kDisappointment = 2;

/// Knows no clock. Instants are in nanoseconds and never 0.
class Lingering {
 public:
  /// A packet of a peer is there and will be worked on. Asks the clock for the first one since `found` only.
  template <class Clock>
  void arrived(Clock&& now) {
    if (began_ == 0) began_ = now();
  }
  /// Whether there was one: else the two below are not called, and sleeping costs no look at the clock.
  bool hasWorked() const { return began_ != 0; }

  /// All is done that was there. @return for how long to look for more; 0: sleep at once.
  std::uint64_t look(std::uint64_t now) {
    done_ = now;
    limit_ = std::min(now - began_, kLongestLook);
    return trust_ >= kMostTrust / 2 ? limit_ : 0;
  }
  /// Something is there again, while it looked or slept.
  void found(std::uint64_t now) {
    if (now - done_ <= limit_) {
      trust_ = std::min(trust_ + 1, kMostTrust);
    } else {
      trust_ -= std::min(trust_, kDisappointment);
    }
    began_ = 0;
  }

 private:
  std::uint64_t began_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t limit_ = 0;
  unsigned trust_ = 0;
};

}  // namespace hipd
