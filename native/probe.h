// Path probes: ICMPv6 echo requests between HITs that ask "does a packet of this size reach you along this path?".
// Another hipd knows them by identifier and magic and answers along the same path; any other host's kernel answers them
// as a ping. ESP authenticates both directions: only the peer can ask or answer.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>

#include "endpoint.h"
#include "ring.h"
#include "types.h"

namespace hipd {

/// Probes that wait for a worker, and probes that wait for their reply.
inline constexpr std::size_t kProbeQueue = 256;
inline constexpr std::size_t kProbesOutstanding = 4096;
/// Probes of one peer that are answered.
inline constexpr std::uint64_t kProbeAnswersPerSecond = 100;
inline constexpr std::uint64_t kProbeAnswerBurst = 32;

/// ICMPv6 identifier, and the beginning of the data.
inline constexpr std::uint16_t kProbeIdentifier = 0x4852;
inline constexpr std::array<std::uint8_t, 8> kProbeMagic{0xb7, 0x91, 'h', 'i', 'p', 'd', '-', 'P'};

/// Thread-safe.
class Probes {
 public:
  /// Magic and cookie: the data of an answer, and the least of a request.
  static constexpr std::size_t kData = 16;
  struct Request {
    Hit peer;
    Path path;
    /// 0: the kernel's choice.
    std::uint32_t interface = 0;
    std::uint32_t token = 0;
    /// The outer packet's, IP header included.
    std::uint32_t bytes = 0;
  };

  /// False when too many wait.
  bool ask(const Request& request);
  Ring<Request>& requests() { return requests_; }

  /// The data of a request that is about to leave.
  std::array<std::uint8_t, kData> remember(const Hit& peer, std::uint32_t token, std::uint32_t bytes,
                                           std::uint64_t now);
  /// Whether an echo message's data is that of a probe.
  static bool isProbe(std::uint16_t identifier, View data);
  struct Answer {
    std::uint32_t token;
    std::uint32_t bytes;
    std::uint64_t nanoseconds;
  };
  /// What an answer's data belongs to. Each request is answered once.
  std::optional<Answer> match(const Hit& peer, View data, std::uint64_t now);

 private:
  struct Outstanding {
    std::uint64_t cookie = 0;
    std::uint64_t sent = 0;
    std::uint32_t token = 0;
    std::uint32_t bytes = 0;
    Hit peer;
  };
  Ring<Request> requests_{kProbeQueue};
  std::mutex mutex_;
  std::array<Outstanding, kProbesOutstanding> outstanding_;
  std::size_t next_ = 0;
};

}  // namespace hipd
