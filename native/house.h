// The house-keeping thread: watches the host's addresses, and looks at all associations once in a while. It sleeps
// otherwise.
#pragma once

#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "worker.h"

namespace hipd {

/// How long the host's addresses must have been quiet before a change is told, and how long that may be put off.
inline constexpr std::uint64_t kAddressQuietMs = 100;
inline constexpr std::uint64_t kAddressLatestMs = 1000;
/// How often associations are looked at.
inline constexpr std::uint64_t kTickMs = 1000;
inline constexpr std::uint64_t kShortestTickMs = 20;
/// How often the path MTU of an SA in use is asked for again: paths also become better (RFC 1191 6.3).
inline constexpr std::uint64_t kMtuRefreshMs = 60'000;

class Housekeeper {
 public:
  Housekeeper(Shared& shared, std::string overlayLink);
  ~Housekeeper();
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

  /// Reads the addresses, tells them as a first event, and starts the thread. "" or what went wrong.
  std::string start();
  void stop();
  /// The underlay addresses as told last.
  std::vector<Address> addresses() const;
  /// An SA wants to know after `idleAfter` milliseconds of silence (0: never) that nothing came.
  void watchIdle(std::uint64_t idleAfter);

 private:
  void run();
  void wake();
  void tick(std::uint64_t now);
  void ageCredit();
  void tellAddresses();

  Shared& shared_;
  const std::string overlayLink_;
  const std::size_t reader_;
  Fd monitor_;
  Fd mailbox_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> interval_{0};  // 0: no SA yet
  std::uint64_t aged_ = 0;
  mutable std::mutex mutex_;
  std::vector<Address> addresses_;
};

}  // namespace hipd
