// Packets of one flow that come one by one may each wake a worker, and each wake-up costs more than the packet. Worst
// is a worker that goes before other programs (network.nice): it interrupts the sender every time.
#pragma once

#include <cstdint>

namespace hipd {

/// Wake-ups that are timed together, and the mean nanoseconds between two of them below which they are too many: a
/// bulk stream wakes a worker five times less often.
inline constexpr unsigned kWakeupsTimed = 64;
inline constexpr std::uint64_t kWakeupsApart = 20'000;

/// Whether a thread is woken so often that it should let others run before it sleeps, so that more than one packet
/// waits.
class Wakeups {
 public:
  /// Called once for each. `now` gives nanoseconds.
  template <class Clock>
  bool tooMany(Clock&& now) {
    if (++count_ < kWakeupsTimed) return tooMany_;
    count_ = 0;
    const std::uint64_t instant = now();
    tooMany_ = instant - since_ < kWakeupsTimed * kWakeupsApart;
    since_ = instant;
    return tooMany_;
  }

 private:
  std::uint64_t since_ = 0;
  unsigned count_ = 0;
  bool tooMany_ = false;
};

}  // namespace hipd
