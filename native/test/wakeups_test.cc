// When a worker lets others run before it sleeps.
#include "../wakeups.h"

#include "check.h"

using namespace hipd;

namespace {

/// Wakes once every `apart` nanoseconds, `times` times. What the last one says.
bool wake(Wakeups& wakeups, std::uint64_t& now, std::uint64_t apart, unsigned times) {
  bool tooMany = false;
  for (unsigned i = 0; i < times; i++) {
    now += apart;
    tooMany = wakeups.tooMany([&] { return now; });
  }
  return tooMany;
}

void tellsManyFromFew() {
  Wakeups wakeups;
  std::uint64_t now = 1'000'000'000;
  CHECK(!wake(wakeups, now, kWakeupsApart / 10, kWakeupsTimed - 1));
  // The first ones are counted from long ago.
  CHECK(!wake(wakeups, now, kWakeupsApart / 10, 1));
  CHECK(wake(wakeups, now, kWakeupsApart - 1, kWakeupsTimed));
  // A pause counts by what it does to the mean.
  CHECK(wake(wakeups, now, kWakeupsApart / 2, kWakeupsTimed - 1));
  CHECK(wake(wakeups, now, kWakeupsTimed / 4 * kWakeupsApart, 1));
  CHECK(wake(wakeups, now, kWakeupsApart / 2, kWakeupsTimed - 1));
  CHECK(!wake(wakeups, now, 1'000'000'000, 1));
  CHECK(!wake(wakeups, now, kWakeupsApart, 2 * kWakeupsTimed));
}

/// The clock costs more than what is saved, so it is asked rarely.
void asksTheClockRarely() {
  Wakeups wakeups;
  unsigned asked = 0;
  for (unsigned i = 0; i < 10 * kWakeupsTimed; i++) {
    wakeups.tooMany([&] { return std::uint64_t{++asked}; });
  }
  CHECK_EQ(asked, 10u);
}

}  // namespace

int main() {
  tellsManyFromFew();
  asksTheClockRarely();
}
