// The data plane's own echo (hipctl ping): ICMPv6 echo requests through the overlay, and their replies' times.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>

#include "ring.h"
#include "types.h"

namespace hipd {

/// Requests that wait for a worker, requests that wait for their reply, and bytes of one request.
inline constexpr std::size_t kPingQueue = 64;
inline constexpr std::size_t kPingsOutstanding = 256;
inline constexpr std::size_t kMaxPing = 1400;

/// Tells our replies from those of applications by the identifier and a random cookie in the data. Thread-safe.
class Pings {
 public:
  /// The cookie and nothing else: the shortest data.
  static constexpr std::size_t kMinData = 8;
  struct Request {
    std::uint32_t length = 0;
    std::array<std::uint8_t, kMaxPing> packet;
  };

  Pings();

  /// Queues a request with `bytes` of data, kMinData to kMaxPing less headers. False when too many wait.
  bool ask(const Hit& local, const Hit& peer, std::uint32_t sequence, std::size_t bytes, std::uint64_t now);
  Ring<Request>& requests() { return requests_; }

  struct Answer {
    std::uint32_t sequence;
    std::uint64_t nanoseconds;
  };
  std::uint16_t identifier() const { return identifier_; }
  /// What an echo reply's data answers. Each request is answered once.
  std::optional<Answer> match(const Hit& peer, View data, std::uint64_t now);

 private:
  struct Outstanding {
    std::uint64_t cookie = 0;
    std::uint64_t sent = 0;
    std::uint32_t sequence = 0;
    Hit peer;
  };
  std::uint16_t identifier_ = 0;
  Ring<Request> requests_{kPingQueue};
  std::mutex mutex_;
  std::array<Outstanding, kPingsOutstanding> outstanding_;
  std::size_t next_ = 0;
};

}  // namespace hipd
