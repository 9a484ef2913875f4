#include "probe.h"

#include <sys/random.h>

#include <algorithm>

namespace hipd {

bool Probes::ask(const Request& request) {
  return requests_.push([&](Request& place) { place = request; });
}

std::array<std::uint8_t, Probes::kData> Probes::remember(const Hit& peer, std::uint32_t token, std::uint32_t bytes,
                                                         std::uint64_t now) {
  std::array<std::uint8_t, kData> data{};
  std::copy(kProbeMagic.begin(), kProbeMagic.end(), data.begin());
  std::uint64_t cookie = 0;
  while (getrandom(&cookie, sizeof cookie, 0) != static_cast<ssize_t>(sizeof cookie)) {
  }
  const std::lock_guard lock(mutex_);
  // The place is part of the cookie: no search later. Never 0, which marks a free place.
  cookie = (cookie | kProbesOutstanding) / kProbesOutstanding * kProbesOutstanding + next_;
  outstanding_[next_] = {cookie, now, token, bytes, peer};
  next_ = (next_ + 1) % kProbesOutstanding;
  store64(data.data() + kProbeMagic.size(), cookie);
  return data;
}

bool Probes::isProbe(std::uint16_t identifier, View data) {
  return identifier == kProbeIdentifier && data.size() >= kData &&
         std::equal(kProbeMagic.begin(), kProbeMagic.end(), data.begin());
}

std::optional<Probes::Answer> Probes::match(const Hit& peer, View data, std::uint64_t now) {
  const std::uint64_t cookie = load64(data.data() + kProbeMagic.size());
  const std::lock_guard lock(mutex_);
  Outstanding& one = outstanding_[cookie % kProbesOutstanding];
  if (cookie == 0 || one.cookie != cookie || !(one.peer == peer)) return std::nullopt;
  one.cookie = 0;
  return Answer{one.token, one.bytes, now - one.sent};
}

}  // namespace hipd
