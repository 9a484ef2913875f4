// When a worker leaves its processor, and where it may be then.
#include "../placement.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "check.h"

using namespace hipd;
using Advice = Crowding::Advice;

namespace {

constexpr std::uint64_t kMillisecond = 1'000'000;

/// Looks every kPlacementLook milliseconds.
class Clock {
 public:
  /// After another look's time, of which `percent` was spent waiting.
  Advice look(std::uint64_t percent) {
    now += kPlacementLook;
    waited += kPlacementLook * kMillisecond * percent / 100;
    return crowding.look(now, waited);
  }
  std::uint64_t now = 1000;
  std::uint64_t waited = 77 * kMillisecond;
  Crowding crowding;
};

void leavesWhereItWaits() {
  Clock clock;
  // What was before the first look says nothing.
  CHECK(clock.look(100) == Advice::Stay);
  for (int i = 0; i < 100; i++) CHECK(clock.look(kPlacementShare - 1) == Advice::Stay);
  CHECK(clock.look(kPlacementShare) == Advice::Leave);
}

void sleepIsNoWait() {
  Clock clock;
  clock.look(0);
  clock.now += kPlacementStale;
  clock.waited += kPlacementStale * kMillisecond;
  CHECK(clock.look(100) == Advice::Stay);
  CHECK(clock.look(100) == Advice::Leave);
}

void relaxesAfterARest() {
  Clock clock;
  clock.look(0);
  CHECK(clock.look(50) == Advice::Leave);
  const std::uint64_t left = clock.now;
  while (clock.now + kPlacementLook < left + kPlacementRest) CHECK(clock.look(0) == Advice::Stay);
  CHECK(clock.look(0) == Advice::Relax);
  CHECK(clock.look(0) == Advice::Stay);
}

/// Where all processors are busy, moving about helps nobody.
void movesLessWhereItDoesNotHelp() {
  Clock clock;
  clock.look(0);
  std::vector<std::uint64_t> moves;
  for (int i = 0; i < 4000; i++) {
    if (clock.look(50) == Advice::Leave) moves.push_back(clock.now);
  }
  CHECK(moves.size() > 200 && moves.size() < 300);
  const std::size_t last = moves.size() - 1;
  CHECK(moves[last] - moves[last - 1] >= kPlacementPause);
  CHECK(moves[1] - moves[0] <= 2 * kPlacementLook);
}

void movesAgainAtOnceWhereItHelped() {
  Clock clock;
  clock.look(0);
  CHECK(clock.look(90) == Advice::Leave);
  CHECK(clock.look(90) == Advice::Leave);
  CHECK(clock.look(90) == Advice::Relax);
  CHECK(clock.look(50) == Advice::Leave);
  CHECK(clock.look(35) == Advice::Leave);
}

/// It does not keep away from one processor while it waits on another: that one may be idle by now.
void doesNotInsist() {
  Clock clock;
  clock.look(0);
  CHECK(clock.look(50) == Advice::Leave);
  CHECK(clock.look(50) == Advice::Leave);
  // Not yet again, but no longer away either.
  CHECK(clock.look(50) == Advice::Relax);
  CHECK(clock.look(50) == Advice::Leave);
  CHECK(clock.look(50) == Advice::Relax);
  CHECK(clock.look(50) == Advice::Stay);
  CHECK(clock.look(50) == Advice::Stay);
  CHECK(clock.look(50) == Advice::Leave);
  // Where it is no longer crowded, it goes on as after any other move.
  const std::uint64_t left = clock.now;
  while (clock.now + kPlacementLook < left + kPlacementRest) CHECK(clock.look(0) == Advice::Stay);
  CHECK(clock.look(0) == Advice::Relax);
}

void readsTheKernelsNumber() {
  CHECK_EQ(waitedIn("123456 789 42\n"), 789u);
  CHECK_EQ(waitedIn(""), 0u);
  CHECK_EQ(waitedIn("12"), 0u);
}

std::vector<unsigned> allowed() {
  cpu_set_t set;
  CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  std::vector<unsigned> list;
  for (unsigned i = 0; i < CPU_SETSIZE; i++) {
    if (CPU_ISSET(i, &set) != 0) list.push_back(i);
  }
  return list;
}

/// Two that compute on one processor: one of them leaves, and may come back later.
void leavesARealProcessor() {
  const std::vector<unsigned> all = allowed();
  if (all.size() < 2) {
    std::puts("skipped: a crowded processor: there is one processor only");
    return;
  }
  std::atomic<bool> done{false};
  std::thread crowd;
  std::thread worker([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(sched_getcpu()), &one);
    crowd = std::thread([&] {
      (void)sched_setaffinity(0, sizeof one, &one);
      while (!done.load()) {
      }
    });
    const int before = sched_getcpu();
    Placement placement;
    bool left = false;
    // The kernel may have moved us away before we had to wait.
    const std::uint64_t until = monotonicNow() + 10'000 * kMillisecond;
    while (!left && monotonicNow() < until) {
      if (sched_getcpu() != before) (void)sched_setaffinity(0, sizeof one, &one);
      if (allowed().size() == 1) {
        cpu_set_t every;
        CPU_ZERO(&every);
        for (const unsigned i : all) CPU_SET(i, &every);
        (void)sched_setaffinity(0, sizeof every, &every);
      }
      left = placement.look(monotonicNow() / kMillisecond);
    }
    CHECK(left);
    CHECK_EQ(allowed().size(), all.size() - 1);
    placement.look(monotonicNow() / kMillisecond + 2 * kPlacementRest);
    CHECK(allowed() == all);
  });
  worker.join();
  done = true;
  crowd.join();
}

/// Who is bound by an administrator stays so; who is bound anew while a processor is avoided, too.
void keepsAnAdministratorsChoice() {
  const std::vector<unsigned> all = allowed();
  if (all.size() < 2) {
    std::puts("skipped: an administrator's choice: there is one processor only");
    return;
  }
  std::thread worker([&] {
    const auto bind = [](unsigned processor) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(processor, &one);
      CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    };
    Processors processors;
    bind(all[0]);
    // There is nowhere to go.
    CHECK(!processors.leave());
    CHECK(allowed() == std::vector<unsigned>{all[0]});
    cpu_set_t every;
    std::memset(&every, 0xff, sizeof every);
    CHECK_EQ(sched_setaffinity(0, sizeof every, &every), 0);
    CHECK(processors.leave());
    CHECK_EQ(allowed().size(), all.size() - 1);
    processors.relax();
    CHECK(allowed() == all);
    CHECK(processors.leave());
    const std::vector<unsigned> rest = allowed();
    bind(rest[0] == all[0] ? all[1] : all[0]);
    processors.relax();
    CHECK_EQ(allowed().size(), 1u);
  });
  worker.join();
}

}  // namespace

int main() {
  leavesWhereItWaits();
  sleepIsNoWait();
  relaxesAfterARest();
  movesLessWhereItDoesNotHelp();
  movesAgainAtOnceWhereItHelped();
  doesNotInsist();
  readsTheKernelsNumber();
  leavesARealProcessor();
  keepsAnAdministratorsChoice();
}
