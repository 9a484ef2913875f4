// Which peers were sent something and have not been heard of since. Costs nothing while nothing is sent.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>

#include "endpoint.h"
#include "ring.h"
#include "types.h"

namespace hipd {

/// How long nothing may come back before `silent` is raised, unless the configuration says otherwise. Milliseconds.
inline constexpr std::uint64_t kSilentMs = 500;
inline constexpr std::uint64_t kShortestSilentMs = 20;
/// Peers that begin to be watched at the same time.
inline constexpr std::size_t kAwaitedQueue = 4096;

/// One peer's part. Workers change it, the house-keeping thread reads it.
struct Silence {
  /// Milliseconds: the first packet sent since the last one came; 0: none.
  std::atomic<std::uint64_t> since{0};
  /// The house-keeping thread looks at this peer.
  std::atomic<bool> watched{false};

  void heard() {
    if (since.load(std::memory_order_relaxed) != 0) since.store(0, std::memory_order_relaxed);
  }
};

/// From workers to the house-keeping thread: peers to watch. The bell rings only when it sleeps.
class Awaited {
 public:
  Awaited() : bell_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

  /// Something goes to the peer, and nothing was on its way yet.
  void sent(Silence& silence, const Hit& peer, std::uint64_t nowMs) {
    // Sequentially consistent: either we see that nobody watches, or the watcher sees that we began.
    silence.since.store(nowMs);
    if (silence.watched.load() || silence.watched.exchange(true)) return;
    if (!queue_.push([&](Hit& place) { place = peer; })) {
      // The next packet tries again.
      silence.watched.store(false);
      silence.since.store(0);
      return;
    }
    told_.fetch_add(1);
    if (!awake_.exchange(true)) ring();
  }

  int bell() const { return bell_.get(); }
  void ring() const {
    const std::uint64_t one = 1;
    (void)!write(bell_.get(), &one, sizeof one);
  }

  // The house-keeping thread's own.
  /// Calls `use(const Hit&)` with the next peer to watch; false when there is none.
  template <class Use>
  bool take(Use&& use) {
    if (!queue_.pop(use)) return false;
    taken_++;
    return true;
  }
  /// Nobody is to be watched: true when the thread may sleep until the bell rings.
  bool maySleep() {
    // Either we see who was told of meanwhile, or they see that we sleep.
    awake_.store(false);
    if (told_.load() == taken_) return true;
    awake_.store(true);
    return false;
  }

 private:
  const Fd bell_;
  Ring<Hit> queue_{kAwaitedQueue};
  std::atomic<bool> awake_{false};
  std::atomic<std::uint64_t> told_{0};
  std::uint64_t taken_ = 0;
};

}  // namespace hipd
