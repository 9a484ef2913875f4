#include "house.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "netlink.h"

namespace hipd {

Housekeeper::Housekeeper(Shared& shared, std::string overlayLink, std::uint64_t silentAfter)
    : shared_(shared),
      overlayLink_(std::move(overlayLink)),
      silentAfter_(std::max(silentAfter, kShortestSilentMs)),
      reader_(shared.epochs.join()) {}

Housekeeper::~Housekeeper() {
  stop();
}

std::string Housekeeper::start(bool follow) {
  std::string error;
  // First watch, then list: no change falls between.
  monitor_ = netlink::openMonitor(error);
  if (!monitor_.valid()) return error;
  if (shared_.awaited.bell() < 0) return "cannot make an eventfd: " + errorText(errno);
  addresses_ = netlink::underlayAddresses(overlayLink_);
  shared_.interfaces.set(addresses_);
  shared_.events.setAddresses(addresses_);
  thread_ = std::thread([this, follow] {
    if (follow) followRoutes();
    run();
  });
  return "";
}

void Housekeeper::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  shared_.awaited.ring();
  thread_.join();
}

std::vector<netlink::LocalAddress> Housekeeper::addresses() const {
  const std::lock_guard lock(mutex_);
  return addresses_;
}

void Housekeeper::watchIdle(std::uint64_t idleAfter) {
  std::uint64_t wanted = kTickMs;
  if (idleAfter != 0) wanted = std::clamp(idleAfter / 4, kShortestTickMs, kTickMs);
  const std::uint64_t current = interval_.load();
  if (current != 0 && current <= wanted) return;
  interval_.store(wanted);
  shared_.awaited.ring();
}

void Housekeeper::run() {
  pthread_setname_np(pthread_self(), "hipd-house");
  std::uint64_t changedFirst = 0;
  std::uint64_t changedLast = 0;
  std::uint64_t changesTold = 0;
  std::uint64_t nextTick = UINT64_MAX;
  std::uint64_t nextListen = UINT64_MAX;
  while (!stopping_.load()) {
    std::uint64_t now = monotonicNow() / 1'000'000;
    const std::uint64_t interval = interval_.load();
    if (interval != 0) nextTick = std::min(nextTick, now + interval);
    std::uint64_t next = std::min(nextTick, nextListen);
    const auto due = [&] {
      const bool calm = changedFirst >= changesTold + kAddressCalmMs;
      return std::min(changedLast + kAddressQuietMs, changedFirst + (calm ? kAddressFirstMs : kAddressLatestMs));
    };
    if (changedFirst != 0) next = std::min(next, due());
    const int timeout = next == UINT64_MAX ? -1 : static_cast<int>(next > now ? next - now : 0);
    std::array<pollfd, 2> watched{{{monitor_.get(), POLLIN, 0}, {shared_.awaited.bell(), POLLIN, 0}}};
    (void)poll(watched.data(), watched.size(), timeout);
    now = monotonicNow() / 1'000'000;
    std::uint64_t signals = 0;
    if (watched[1].revents != 0) (void)!read(shared_.awaited.bell(), &signals, sizeof signals);
    if (watched[0].revents != 0 && netlink::readMonitor(monitor_.get())) {
      if (changedFirst == 0) changedFirst = now;
      changedLast = now;
    }
    if (changedFirst != 0 && now >= due()) {
      changedFirst = 0;
      changesTold = now;
      tellAddresses();
      followRoutes();
    }
    if (signals != 0 || now >= nextListen) nextListen = listen(now);
    if (now >= nextTick) {
      nextTick = UINT64_MAX;
      shared_.epochs.online(reader_);
      tick(now);
      shared_.epochs.offline(reader_);
      shared_.epochs.reclaim();
      replay_rings::refill();
    }
  }
}

void Housekeeper::tellAddresses() {
  std::vector<netlink::LocalAddress> current = netlink::underlayAddresses(overlayLink_);
  {
    const std::lock_guard lock(mutex_);
    if (current == addresses_) return;
    addresses_ = current;
  }
  shared_.interfaces.set(current);
  shared_.events.setAddresses(current);
}

/// Routes may have come or gone with the change: packets of each SA leave by the interface of their source.
void Housekeeper::followRoutes() {
  shared_.epochs.online(reader_);
  shared_.routes.eachInbound([&](InboundRoute& route) {
    const OutboundRoute* via = route.peer->via.load();
    if (via == nullptr || route.peer->inbound.load() != &route) return;
    const Destination& destination = *via->destination.load();
    destination.interface.store(shared_.interfaces.towards(destination.path), std::memory_order_relaxed);
  });
  shared_.epochs.offline(reader_);
}

std::uint64_t Housekeeper::listen(std::uint64_t now) {
  std::uint64_t next = UINT64_MAX;
  shared_.epochs.online(reader_);
  do {
    while (shared_.awaited.take([&](const Hit& peer) { watched_.push_back({peer, 0}); })) {
    }
    next = UINT64_MAX;
    std::erase_if(watched_, [&](Watched& one) {
      Peer* peer = shared_.routes.byHit(one.peer);
      return peer == nullptr || !silent(*peer, one.raised, now, next);
    });
  } while (watched_.empty() && !shared_.awaited.maySleep());
  shared_.epochs.offline(reader_);
  return next;
}

bool Housekeeper::silent(Peer& peer, std::uint64_t& raised, std::uint64_t now, std::uint64_t& next) {
  Silence& silence = peer.silence;
  std::uint64_t since = silence.since.load();
  // Nothing more went out since it was said.
  if (raised != 0 && now >= raised + silentAfter_ && peer.lastUsed.load(std::memory_order_relaxed) <= raised) since = 0;
  if (since == 0) {
    raised = 0;
    silence.since.store(0);
    silence.watched.store(false);
    // A worker that saw the mark a moment ago relies on us.
    since = silence.since.load();
    if (since == 0 || silence.watched.exchange(true)) return false;
  }
  if (raised < since) raised = 0;
  std::uint64_t due = std::max(since, raised) + silentAfter_;
  if (now >= due) {
    raised = now;
    due = now + silentAfter_;
    shared_.events.push(EventType::Silent, [&](Event& event) {
      event.peer = peer.hit;
      event.sequence = static_cast<std::uint32_t>(std::min<std::uint64_t>(now - since, UINT32_MAX));
    });
  }
  next = std::min(next, due);
  return true;
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
