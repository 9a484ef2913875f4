// By which interface packets from one of our addresses leave: the one that has it, also when another default route is
// better (a network drops what comes from addresses that are not its own).
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <set>
#include <vector>

#include "endpoint.h"
#include "netlink.h"

namespace hipd {

/// Thread-safe.
class Interfaces {
 public:
  void set(const std::vector<netlink::LocalAddress>& addresses) {
    const std::lock_guard lock(mutex_);
    addresses_ = addresses;
    for (const int family : {4, 6}) several_[family == 4 ? 0 : 1].store(countLinks(family) > 1);
  }
  /// What SourceControl::writeTo takes; 0: the source is not ours, or its interface leads nowhere.
  std::uint32_t towards(const Path& path) const {
    // With one interface there is no other choice: nobody has to be asked.
    if (!several_[path.local.address.family == 4 ? 0 : 1].load(std::memory_order_relaxed)) return 0;
    const int link = linkOf(path.local.address);
    if (link == 0) return 0;
    const netlink::WayOut way = netlink::wayOut(link, path.local.address, path.remote.address);
    if (way == netlink::WayOut::None) return 0;
    const std::uint32_t flag = way == netlink::WayOut::WithoutSource ? SourceControl::kChosen : 0;
    return static_cast<std::uint32_t>(link) | flag;
  }

 private:
  int linkOf(const Address& address) const {
    if (address.family == 0) return 0;
    const std::lock_guard lock(mutex_);
    for (const netlink::LocalAddress& one : addresses_) {
      if (one.address == address) return one.link;
    }
    return 0;
  }

  std::size_t countLinks(int family) const {
    std::set<int> links;
    for (const netlink::LocalAddress& one : addresses_) {
      if (one.address.family == family) links.insert(one.link);
    }
    return links.size();
  }

  std::array<std::atomic<bool>, 2> several_{};
  mutable std::mutex mutex_;
  std::vector<netlink::LocalAddress> addresses_;
};

}  // namespace hipd
