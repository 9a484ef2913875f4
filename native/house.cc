#include "house.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "netlink.h"

namespace hipd {

Housekeeper::Housekeeper(Shared& shared, std::string overlayLink)
    : shared_(shared), overlayLink_(std::move(overlayLink)), reader_(shared.epochs.join()) {}

Housekeeper::~Housekeeper() {
  stop();
}

std::string Housekeeper::start() {
  std::string error;
  // First watch, then list: no change falls between.
  monitor_ = netlink::openMonitor(error);
  if (!monitor_.valid()) return error;
  mailbox_ = Fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!mailbox_.valid()) return "cannot make an eventfd: " + errorText(errno);
  addresses_ = netlink::underlayAddresses(overlayLink_);
  shared_.events.setAddresses(addresses_);
  thread_ = std::thread([this] { run(); });
  return "";
}

void Housekeeper::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  wake();
  thread_.join();
}

void Housekeeper::wake() {
  const std::uint64_t one = 1;
  (void)!write(mailbox_.get(), &one, sizeof one);
}

std::vector<Address> Housekeeper::addresses() const {
  const std::lock_guard lock(mutex_);
  return addresses_;
}

void Housekeeper::watchIdle(std::uint64_t idleAfter) {
  std::uint64_t wanted = kTickMs;
  if (idleAfter != 0) wanted = std::clamp(idleAfter / 4, kShortestTickMs, kTickMs);
  const std::uint64_t current = interval_.load();
  if (current != 0 && current <= wanted) return;
  interval_.store(wanted);
  wake();
}

void Housekeeper::run() {
  pthread_setname_np(pthread_self(), "hipd-house");
  std::uint64_t changedFirst = 0;
  std::uint64_t changedLast = 0;
  std::uint64_t nextTick = UINT64_MAX;
  while (!stopping_.load()) {
    std::uint64_t now = monotonicNow() / 1'000'000;
    const std::uint64_t interval = interval_.load();
    if (interval != 0) nextTick = std::min(nextTick, now + interval);
    std::uint64_t next = nextTick;
    if (changedFirst != 0) {
      next = std::min({next, changedLast + kAddressQuietMs, changedFirst + kAddressLatestMs});
    }
    const int timeout = next == UINT64_MAX ? -1 : static_cast<int>(next > now ? next - now : 0);
    std::array<pollfd, 2> watched{{{monitor_.get(), POLLIN, 0}, {mailbox_.get(), POLLIN, 0}}};
    (void)poll(watched.data(), watched.size(), timeout);
    now = monotonicNow() / 1'000'000;
    std::uint64_t signals = 0;
    if (watched[1].revents != 0) (void)!read(mailbox_.get(), &signals, sizeof signals);
    if (watched[0].revents != 0 && netlink::readMonitor(monitor_.get())) {
      if (changedFirst == 0) changedFirst = now;
      changedLast = now;
    }
    if (changedFirst != 0 && (now >= changedLast + kAddressQuietMs || now >= changedFirst + kAddressLatestMs)) {
      changedFirst = 0;
      tellAddresses();
    }
    if (now >= nextTick) {
      nextTick = UINT64_MAX;
      shared_.epochs.online(reader_);
      tick(now);
      shared_.epochs.offline(reader_);
      shared_.epochs.reclaim();
    }
  }
}

void Housekeeper::tellAddresses() {
  std::vector<Address> current = netlink::underlayAddresses(overlayLink_);
  {
    const std::lock_guard lock(mutex_);
    if (current == addresses_) return;
    addresses_ = current;
  }
  shared_.events.setAddresses(current);
}

void Housekeeper::ageCredit() {
  shared_.routes.eachInbound([](InboundRoute& route) {
    earnCredit(route);
    if (route.peer->inbound.load() == &route) route.peer->credit.age();
  });
}

void Housekeeper::tick(std::uint64_t now) {
  if (now >= aged_ + kCreditAgingMs) {
    aged_ = now;
    ageCredit();
  }
  shared_.routes.eachInbound([&](InboundRoute& route) {
    Peer& peer = *route.peer;
    const std::uint64_t used = peer.lastUsed.load(std::memory_order_relaxed);
    if (route.idleAfter != 0 && peer.inbound.load() == &route) {
      const std::uint64_t since = std::max({used, route.added, route.idleRaised});
      if (now >= since + route.idleAfter) {
        const bool told = shared_.events.push(EventType::Idle, [&](Event& event) {
          event.spi = route.sa->spi();
          event.peer = peer.hit;
        });
        if (told) route.idleRaised = now;
      }
    }
    OutboundRoute* via = peer.via.load();
    if (via != nullptr && used + kMtuRefreshMs > now &&
        via->mtuAsked.load(std::memory_order_relaxed) / 1'000'000 + kMtuRefreshMs < now) {
      refreshMtu(*via, monotonicNow());
    }
  });
}

}  // namespace hipd
