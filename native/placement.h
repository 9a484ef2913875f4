// On which processor a worker runs. Where packets wake programs and programs wake workers, the kernel tends to put two
// that work hand in hand on one processor, where they wait for each other while another is idle: it takes the one who
// wakes for one who is about to sleep. A worker that has to wait there leaves.
#pragma once

#include <sched.h>

#include <cstdint>

#include "endpoint.h"

namespace hipd {

/// How often a worker looks at how long it had to wait. Milliseconds.
inline constexpr std::uint64_t kPlacementLook = 4;
/// A longer time between two looks says nothing: it slept.
inline constexpr std::uint64_t kPlacementStale = 10 * kPlacementLook;
/// Share of its time, in percent, that it may have to wait for the processor.
inline constexpr std::uint64_t kPlacementShare = 30;
/// After so long without such waits all processors are welcome again. Milliseconds.
inline constexpr std::uint64_t kPlacementRest = 1000;
/// Moves that do not help come less and less often, at least this often. Milliseconds.
inline constexpr std::uint64_t kPlacementPause = 64;

/// When to leave. Knows no clock and no processor.
class Crowding {
 public:
  enum class Advice : std::uint8_t { Stay, Leave, Relax };
  /// @param now coarse milliseconds. @param waited nanoseconds for which the thread was ready and did not run, since it
  /// began.
  Advice look(std::uint64_t now, std::uint64_t waited);
  /// Whether it is time to look.
  bool due(std::uint64_t now) const { return now >= looked_ + kPlacementLook; }

 private:
  Advice comeBack();

  std::uint64_t looked_ = 0;
  std::uint64_t waited_ = 0;
  /// What it left for the last time; 0: it has not left, or has forgotten.
  std::uint64_t share_ = 0;
  std::uint64_t pause_ = kPlacementLook;
  std::uint64_t notBefore_ = 0;
  std::uint64_t left_ = 0;
  /// It keeps away from a processor now.
  bool away_ = false;
};

/// Where the calling thread may run.
class Processors {
 public:
  /// From now on everywhere but here, as far as an administrator allows. False when there is nothing else.
  bool leave();
  /// Everywhere again.
  void relax();

 private:
  /// What is asked for otherwise, and what is left of it; only while `shuns_`.
  cpu_set_t wanted_{};
  cpu_set_t rest_{};
  bool shuns_ = false;
};

/// The thread that made it alone uses it.
class Placement {
 public:
  Placement();
  /// True when the thread has left its processor.
  bool look(std::uint64_t now) { return crowding_.due(now) && act(now); }

 private:
  bool act(std::uint64_t now);

  Crowding crowding_;
  Processors processors_;
  /// Invalid where the kernel does not tell: then the thread stays where it is put.
  Fd times_;
};

/// The second number of /proc/thread-self/schedstat; 0 when it is not one.
std::uint64_t waitedIn(const char* schedstat);

}  // namespace hipd
