// Credit-based authorization (RFC 8046 5.6): to an address that nobody has verified goes no more than came from the
// peer.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace hipd {

/// CreditAgingInterval and CreditAgingFactor (RFC 8046 5.6.2).
inline constexpr std::uint64_t kCreditAgingMs = 5000;
inline constexpr std::int64_t kCreditFactorOver = 8;
inline constexpr std::int64_t kCreditFactor = 7;
/// Credit of one peer at most, in bytes: a tenth of a second at 1.3 Gbit/s.
inline constexpr std::int64_t kMostCredit = 16 << 20;

/// What one peer may still be sent without knowing that it is there. Bytes of whole packets. Any thread.
class Credit {
 public:
  /// `bytes` may be negative: a correction of what was earned before.
  void earn(std::int64_t bytes) {
    if (bytes == 0) return;
    const std::int64_t now = bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    if (now > kMostCredit) bytes_.fetch_sub(now - kMostCredit, std::memory_order_relaxed);
  }
  /// False, and nothing is taken, when there is less than that.
  bool spend(std::int64_t bytes) {
    if (bytes_.fetch_sub(bytes, std::memory_order_relaxed) >= bytes) return true;
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    return false;
  }
  bool covers(std::int64_t bytes) const { return bytes_.load(std::memory_order_relaxed) >= bytes; }
  /// Once every kCreditAgingMs.
  void age() {
    const std::int64_t now = bytes_.load(std::memory_order_relaxed);
    if (now > 0) bytes_.fetch_sub(now - now / kCreditFactorOver * kCreditFactor, std::memory_order_relaxed);
  }
  std::int64_t get() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> bytes_{0};
};

}  // namespace hipd
