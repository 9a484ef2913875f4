#include "placement.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace hipd {

Crowding::Advice Crowding::look(std::uint64_t now, std::uint64_t waited) {
  const std::uint64_t span = now - looked_;
  const std::uint64_t more = waited - waited_;
  looked_ = now;
  waited_ = waited;
  const std::uint64_t share = span == 0 ? 0 : more / (span * 10'000);
  if (span > kPlacementStale || share < kPlacementShare) {
    if (share_ == 0 || now < left_ + kPlacementRest) return Advice::Stay;
    share_ = 0;
    pause_ = kPlacementLook;
    return Advice::Relax;
  }
  if (now < notBefore_) return Advice::Stay;
  // Elsewhere it is as crowded: all processors are busy.
  const bool useless = share_ != 0 && share * 10 >= share_ * 8;
  pause_ = useless ? std::min(pause_ * 2, kPlacementPause) : kPlacementLook;
  notBefore_ = now + pause_;
  share_ = share;
  left_ = now;
  return Advice::Leave;
}

std::uint64_t waitedIn(const char* schedstat) {
  char* end = nullptr;
  (void)std::strtoull(schedstat, &end, 10);
  return std::strtoull(end, nullptr, 10);
}

Placement::Placement() : times_(open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}

bool Placement::act(std::uint64_t now) {
  if (!times_.valid()) return false;
  std::array<char, 96> text;
  const ssize_t got = pread(times_.get(), text.data(), text.size() - 1, 0);
  if (got <= 0) return false;
  text[static_cast<std::size_t>(got)] = '\0';
  switch (crowding_.look(now, waitedIn(text.data()))) {
    case Crowding::Advice::Leave:
      return leave();
    case Crowding::Advice::Relax:
      relax();
      break;
    case Crowding::Advice::Stay:
      break;
  }
  return false;
}

bool Placement::leave() {
  cpu_set_t now;
  if (sched_getaffinity(0, sizeof now, &now) != 0) return false;
  // Somebody has chosen others meanwhile: their choice counts.
  if (!shuns_ || CPU_EQUAL(&now, &rest_) == 0) allowed_ = now;
  const int here = sched_getcpu();
  if (here < 0) return false;
  rest_ = allowed_;
  CPU_CLR(static_cast<unsigned>(here), &rest_);
  shuns_ = CPU_COUNT(&rest_) > 0 && sched_setaffinity(0, sizeof rest_, &rest_) == 0;
  return shuns_;
}

void Placement::relax() {
  cpu_set_t now;
  if (shuns_ && sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &rest_) != 0) {
    (void)sched_setaffinity(0, sizeof allowed_, &allowed_);
  }
  shuns_ = false;
}

}  // namespace hipd
