// When packets are marked, and how.
#include "../backlog.h"

#include "check.h"

using namespace hipd;

namespace {

/// Takes from a queue at a steady rate.
struct Queue {
  Backlog backlog;
  std::uint64_t now = 1;
  std::size_t looks = 0;

  /// @return whether somebody is told then.
  bool take(std::size_t bytes, std::uint64_t nanoseconds) {
    now += nanoseconds;
    backlog.took(bytes, [this] {
      looks++;
      return now;
    });
    const bool late = backlog.late();
    backlog.told();
    return late;
  }
};

constexpr std::size_t kTurn = 64UL * 1024;

void waitsForAMillisecond() {
  // 2 MiB in a millisecond.
  Queue queue;
  std::size_t bytes = 0;
  do bytes += kTurn;
  while (bytes < kLongBacklog && !queue.take(kTurn, kLongWait / 32));
  // Time counts from the first look at the clock on, and there is one every half MiB.
  CHECK(bytes >= 2 * kShortBacklog && bytes <= 2 * kShortBacklog + kMarkEvery);
  CHECK(queue.looks <= bytes / kMarkEvery + 1);
}

void littleIsNotLate() {
  // Slow, or without a processor for a long time.
  Queue queue;
  for (std::size_t bytes = kTurn; bytes < kShortBacklog; bytes += kTurn) CHECK(!queue.take(kTurn, 10 * kLongWait));
  queue.backlog.wasEmpty();
  // A flow that leaves pauses is never late, however much it sends.
  for (int i = 0; i < 100; i++) {
    CHECK(!queue.take(kLongBacklog - 1, kLongWait / 2));
    queue.backlog.wasEmpty();
  }
}

void muchIsLateAtAnySpeed() {
  Queue queue;
  CHECK(!queue.take(kLongBacklog - 1, 1));
  std::size_t marks = 0;
  for (int i = 0; i < 32; i++) marks += queue.take(kTurn, 1) ? 1U : 0U;
  // One for every half MiB.
  CHECK_EQ(marks, 32 * kTurn / kMarkEvery);
  // Until somebody who understands it was there.
  queue.backlog.took(kMarkEvery, [] { return 1UL; });
  CHECK(queue.backlog.late() && queue.backlog.late());
  queue.backlog.told();
  CHECK(!queue.backlog.late());
  queue.backlog.took(kMarkEvery, [] { return 1UL; });
  queue.backlog.wasEmpty();
  CHECK(!queue.backlog.late());
}

/// RFC 3168 5: ECT(0) and ECT(1) become CE, not-ECT stays, and DSCP is not touched.
void marksOnlyWhoKnows() {
  CHECK_EQ(markCongestion(0b10111000), 0b10111000);
  CHECK_EQ(markCongestion(0b10111001), 0b10111011);
  CHECK_EQ(markCongestion(0b10111010), 0b10111011);
  CHECK_EQ(markCongestion(0b10111011), 0b10111011);
}

}  // namespace

int main() {
  waitsForAMillisecond();
  littleIsNotLate();
  muchIsLateAtAnySpeed();
  marksOnlyWhoKnows();
}
