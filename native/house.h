// The house-keeping thread: watches the host's addresses, and looks at all associations once in a while. It sleeps
// otherwise.
#pragma once

#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "netlink.h"
#include "worker.h"

namespace hipd {

/// How long the host's addresses must have been quiet before a change is told, and how long that may be put off: for
/// the first change after a second of quiet, and for those that follow.
inline constexpr std::uint64_t kAddressQuietMs = 5;
inline constexpr std::uint64_t kAddressFirstMs = 50;
inline constexpr std::uint64_t kAddressLatestMs = 250;
inline constexpr std::uint64_t kAddressCalmMs = 1000;
/// How often associations are looked at.
inline constexpr std::uint64_t kTickMs = 1000;
inline constexpr std::uint64_t kShortestTickMs = 20;
/// How often the path MTU of an SA in use is asked for again: paths also become better (RFC 1191 6.3).
inline constexpr std::uint64_t kMtuRefreshMs = 60'000;

class Housekeeper {
 public:
  /// `silentAfter`: milliseconds without an answer after which `silent` is raised.
  Housekeeper(Shared& shared, std::string overlayLink, std::uint64_t silentAfter);
  ~Housekeeper();
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

  /// Reads the addresses, tells them as a first event, and starts the thread. `follow`: there are SAs already, whose
  /// way out it looks up first. "" or what went wrong.
  std::string start(bool follow = false);
  void stop();
  /// The underlay addresses as told last.
  std::vector<netlink::LocalAddress> addresses() const;
  /// An SA wants to know after `idleAfter` milliseconds of silence (0: never) that nothing came.
  void watchIdle(std::uint64_t idleAfter);

 private:
  void run();
  void tick(std::uint64_t now);
  void ageCredit();
  void tellAddresses();
  void followRoutes();
  /// Looks at those who were sent something. Returns when to look again; UINT64_MAX: when the bell rings.
  std::uint64_t listen(std::uint64_t now);
  /// Whether the peer still has to be watched, and until when nothing can happen.
  bool silent(Peer& peer, std::uint64_t& raised, std::uint64_t now, std::uint64_t& next);

  Shared& shared_;
  const std::string overlayLink_;
  const std::uint64_t silentAfter_;
  const std::size_t reader_;
  Fd monitor_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> interval_{0};  // 0: no SA yet
  std::uint64_t aged_ = 0;
  mutable std::mutex mutex_;
  std::vector<netlink::LocalAddress> addresses_;
  /// Those that `listen` watches, and when `silent` was raised last. Milliseconds.
  struct Watched {
    Hit peer;
    std::uint64_t raised = 0;
  };
  std::vector<Watched> watched_;
};

}  // namespace hipd
