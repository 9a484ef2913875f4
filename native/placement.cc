#include "placement.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

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
    return comeBack();
  }
  // Here it is crowded, too. Two workers may have left the same place for the same other one: only the kernel, which
  // sees both, can part them.
  if (now < notBefore_) return comeBack();
  // Elsewhere it is as crowded: all processors are busy.
  const bool useless = share_ != 0 && share * 10 >= share_ * 8;
  pause_ = useless ? std::min(pause_ * 2, kPlacementPause) : kPlacementLook;
  notBefore_ = now + pause_;
  share_ = share;
  left_ = now;
  away_ = true;
  return Advice::Leave;
}

Crowding::Advice Crowding::comeBack() {
  if (!away_) return Advice::Stay;
  away_ = false;
  return Advice::Relax;
}

namespace {

bool allowed(cpu_set_t& set) {
  return sched_getaffinity(0, sizeof set, &set) == 0;
}

bool allow(const cpu_set_t& set) {
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

/// Whether asking for `wanted` gives `now`: what the machine and the control group have of it.
bool isWhatGives(const cpu_set_t& now, const cpu_set_t& wanted) {
  cpu_set_t given;
  return allow(wanted) && allowed(given) && CPU_EQUAL(&now, &given) != 0;
}

}  // namespace

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
      return processors_.leave();
    case Crowding::Advice::Relax:
      processors_.relax();
      break;
    case Crowding::Advice::Stay:
      break;
  }
  return false;
}

bool Processors::leave() {
  const int here = sched_getcpu();
  cpu_set_t now;
  if (shuns_) relax();
  if (here < 0 || !allowed(now)) return false;
  // Asked for all, we get all that come later, too. Whom an administrator has bound gets less than all.
  std::memset(&wanted_, 0xff, sizeof wanted_);
  if (!isWhatGives(now, wanted_)) wanted_ = now;
  rest_ = wanted_;
  CPU_CLR(static_cast<unsigned>(here), &rest_);
  CPU_CLR(static_cast<unsigned>(here), &now);
  shuns_ = CPU_COUNT(&now) > 0 && allow(rest_);
  if (!shuns_) allow(wanted_);
  return shuns_;
}

void Processors::relax() {
  cpu_set_t now;
  // Somebody may have chosen others meanwhile: then their choice counts.
  if (shuns_ && allowed(now)) allow(isWhatGives(now, rest_) ? wanted_ : now);
  shuns_ = false;
}

}  // namespace hipd
