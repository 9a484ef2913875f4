// Rates and sizes that the data plane never exceeds. Each queue names its limit here or beside its class.
#pragma once

#include <atomic>
#include <cstdint>

namespace hipd {

/// `kPerSecond` (> 0) events a second at most, `kBurst` (>= 1) at once, from any number of threads: the generic cell
/// rate algorithm, which needs one atomic number ("the moment at which the bucket would be full again") and no lock.
template <std::uint64_t kPerSecond, std::uint64_t kBurst>
class RateLimit {
 public:
  /// True when one more event may happen at `now` (monotonic nanoseconds).
  bool take(std::uint64_t now) {
    std::uint64_t full = full_.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint64_t start = full > now ? full : now;
      if (start - now > kSlack) return false;
      if (full_.compare_exchange_weak(full, start + kInterval, std::memory_order_relaxed)) return true;
    }
  }

  /// The next event may happen at once, whatever happened before.
  void reset() { full_.store(0, std::memory_order_relaxed); }

 private:
  static constexpr std::uint64_t kInterval = 1'000'000'000ull / kPerSecond;
  static constexpr std::uint64_t kSlack = kInterval * (kBurst - 1);
  std::atomic<std::uint64_t> full_{0};
};

/// ICMP errors to local applications: one for each distinct failure is enough, a flood helps nobody.
inline constexpr std::uint64_t kIcmpPerSecond = 1000;
inline constexpr std::uint64_t kIcmpBurst = 200;
/// `miss` events of one peer.
inline constexpr std::uint64_t kMissPerSecond = 1;
/// `moved` events of one SA.
inline constexpr std::uint64_t kMovedPerSecond = 1;
/// A NAT that rebinds twice within a second is followed both times.
inline constexpr std::uint64_t kMovedBurst = 3;
/// `unknown-spi` events of the whole host: they are unauthenticated.
inline constexpr std::uint64_t kUnknownSpiPerSecond = 20;
inline constexpr std::uint64_t kUnknownSpiBurst = 20;

}  // namespace hipd
