#include "route.h"

#include <algorithm>
#include <cstring>

#include "esp.h"
#include "mtu.h"

namespace hipd {

namespace {

/// Smallest MTUs that IPv4 and IPv6 allow (RFC 791 3.1: 68, but every host takes 576; RFC 8200 5: 1280).
std::uint32_t smallestMtu(const Path& path) {
  return path.remote.address.family == 6 ? 1280 : 576;
}

bool sameKeys(const Keys& keys, const SaParameters& parameters) {
  View encryption = parameters.encryptionKey;
  const View stored = keys.encryptionKey();
  if (keys.suite() != parameters.suite || encryption.size() < stored.size()) return false;
  const View integrity = keys.integrityKey();
  if (integrity.size() != parameters.integrityKey.size()) return false;
  const View salt = encryption.subspan(stored.size());
  // Both sides are ours: the time this takes tells nobody anything.
  return std::memcmp(encryption.data(), stored.data(), stored.size()) == 0 &&
         std::equal(integrity.begin(), integrity.end(), parameters.integrityKey.begin()) &&
         std::equal(salt.begin(), salt.end(), keys.salt().begin());
}

}  // namespace

OutboundRoute::~OutboundRoute() {
  delete destination.load();
}

InboundRoute::~InboundRoute() {
  delete expected.load();
}

bool Prefix::contains(const std::uint8_t* address) const {
  const std::size_t whole = length / 8;
  if (std::memcmp(network.bytes.data(), address, whole) != 0) return false;
  const unsigned rest = length % 8;
  if (rest == 0) return true;
  const unsigned mask = 0xffu << (8 - rest);
  return ((network.bytes[whole] ^ address[whole]) & mask & 0xffu) == 0;
}

std::uint32_t refreshMtu(OutboundRoute& route, std::uint64_t now) {
  const Destination& destination = *route.destination.load();
  route.mtuAsked.store(now, std::memory_order_relaxed);
  std::uint32_t answer = askKernel(destination.path.local.address, destination.path.remote).mtu;
  if (answer == 0) return 0;
  const std::uint32_t probed = route.peer->probedMtu.load(std::memory_order_relaxed);
  if (probed != 0) answer = std::min(answer, probed);
  const std::uint32_t largest = static_cast<std::uint32_t>(kMaxDatagram);
  const std::uint32_t mtu = std::max(std::min(answer, largest), smallestMtu(destination.path));
  route.sa->pathMtu.store(mtu, std::memory_order_relaxed);
  return mtu;
}

std::uint64_t earned(const InboundRoute& route) {
  // The smallest outer packet that can have carried each: IPv4, no UDP, no padding.
  const SuiteShape& shape = route.sa->shape();
  const std::uint64_t around = outerHeaders({Carrier::None, false}) + esp::kHeaderLength + esp::kTrailerLength +
                               shape.ivLength + shape.icvLength;
  const SaCounters& counters = route.sa->counters;
  return counters.bytes.load(std::memory_order_relaxed) + around * counters.packets.load(std::memory_order_relaxed);
}

void earnCredit(InboundRoute& route) {
  const std::uint64_t bytes = earned(route);
  // Differences of a sum: whoever is early or late, all together is right.
  route.peer->credit.earn(static_cast<std::int64_t>(bytes - route.credited.exchange(bytes)));
}

Routes::Routes(Epochs& epochs, Hold& hold, const Lsi& ownLsi)
    : epochs_(epochs), hold_(hold), ownLsi_(ownLsi), peers_(epochs), aliases_(epochs), spis_(epochs) {}

Routes::~Routes() {
  // No reader is left.
  aliases_.each([](Alias& alias) { delete &alias; });
  peers_.each([this](Peer& peer) {
    const auto empty = [&](auto& routes) {
      while (!routes.empty()) {
        auto* route = *routes.begin();
        routes.erase(route);
        const InnerPair* pair = route->pair.load();
        if (pair != nullptr && sharedPair(peer, pair->localHit) != pair) delete pair;
        delete route;
      }
    };
    empty(peer.outboundSas);
    empty(peer.inboundSas);
    hold_.clear(peer.hold);
    delete &peer;
  });
}

Peer* Routes::getOrMake(const Hit& hit) {
  Peer* peer = peers_.find(hit);
  if (peer != nullptr) return peer;
  if (peers_.size() >= kMaxPeers) return nullptr;
  peer = new Peer(hit);
  peers_.insert(peer);
  return peer;
}

void Routes::forgetIfUnused(const Hit& hit) {
  Peer* peer = peers_.find(hit);
  if (peer == nullptr || peer->mode.load() != Mode::Unknown || peer->hasLsi || !peer->outboundSas.empty() ||
      !peer->inboundSas.empty()) {
    return;
  }
  forget(peer);
}

void Routes::forget(Peer* peer) {
  peers_.erase(peer->hit);
  // A worker that still holds the peer may put one more packet into its queue: the queue is emptied when the peer is
  // freed.
  struct Doomed {
    Peer* peer;
    Hold* hold;
  };
  epochs_.retire(new Doomed{peer, &hold_}, [](void* object) {
    auto* doomed = static_cast<Doomed*>(object);
    doomed->hold->clear(doomed->peer->hold);
    delete doomed->peer;
    delete doomed;
  });
}

Routes::Added Routes::addOutbound(const SaParameters& parameters, const Path& path, std::uint64_t now,
                                  std::uint32_t interface) {
  Peer* peer = getOrMake(parameters.peerHit);
  if (peer == nullptr) return Added::Full;
  auto& list = peer->outboundSas;
  const auto same = std::find_if(list.begin(), list.end(),
                                 [&](const OutboundRoute* one) { return one->sa->spi() == parameters.spi; });
  if (same != list.end() && sameKeys(*(*same)->sa->keys(), parameters)) return Added::Repeated;
  if (same == list.end() && list.size() >= kMaxSasOfPeer) return Added::Full;
  std::unique_ptr<OutboundSa> sa = OutboundSa::make(parameters);
  if (sa == nullptr) {
    forgetIfUnused(parameters.peerHit);
    return Added::BadKeys;
  }
  if (list.empty() && peer->inboundSas.empty()) {
    peer->txPackets = peer->txBytes = peer->rxPackets = peer->rxBytes = 0;
  }
  auto* route = new OutboundRoute(std::move(sa), peer);
  route->destination.store(new Destination(path, true, interface));
  route->pair.store(pairFor(*peer, parameters.localHit));
  refreshMtu(*route, now);
  OutboundRoute* old = same == list.end() ? nullptr : *same;
  list.push_back(route);
  if (old != nullptr) {
    if (peer->via.load() == old) peer->via.store(route);
    removeOutbound(old);
  }
  return Added::Done;
}

Routes::Added Routes::addInbound(const SaParameters& parameters, const Path& path, std::uint64_t idleAfter,
                                 std::uint64_t now) {
  InboundRoute* same = bySpi(parameters.spi);
  if (same != nullptr && same->sa->peerHit() == parameters.peerHit && sameKeys(*same->sa->keys(), parameters)) {
    // Forgetting the replay window would let recorded packets in.
    return Added::Repeated;
  }
  Peer* peer = getOrMake(parameters.peerHit);
  if (peer == nullptr || spis_.size() + 2 > kMaxSas) return Added::Full;
  if (peer->inboundSas.size() >= kMaxSasOfPeer) return Added::Full;
  std::unique_ptr<InboundSa> sa = InboundSa::make(parameters);
  if (sa == nullptr) {
    forgetIfUnused(parameters.peerHit);
    return Added::BadKeys;
  }
  for (const Spi spi : {parameters.spi, parameters.lsiSpi}) {
    InboundRoute* other = spi == 0 ? nullptr : bySpi(spi);
    if (other != nullptr) removeInbound(other);
  }
  if (peer->inboundSas.empty() && peer->outboundSas.empty()) {
    peer->txPackets = peer->txBytes = peer->rxPackets = peer->rxBytes = 0;
  }
  auto* route = new InboundRoute(std::move(sa), peer);
  route->expected.store(new Path(path));
  route->pair.store(pairFor(*peer, parameters.localHit));
  route->idleAfter = idleAfter;
  route->added = now / 1'000'000;
  route->entries[0] = {parameters.spi, route};
  route->entries[1] = {parameters.lsiSpi, route};
  peer->inboundSas.push_back(route);
  peer->inbound.store(route);
  spis_.insert(&route->entries[0]);
  if (parameters.lsiSpi != 0 && parameters.lsiSpi != parameters.spi) spis_.insert(&route->entries[1]);
  return Added::Done;
}

void Routes::rememberFormer(Peer* peer, const Path& next, std::uint64_t now) {
  const InboundRoute* inbound = peer->inbound.load();
  if (inbound == nullptr) return;
  const Path& last = *inbound->expected.load();
  if (last.carrier == next.carrier && last.remote == next.remote) return;
  const std::uint64_t nowMs = now / 1'000'000;
  auto* fresh = new FormerPaths;
  fresh->entries[0] = {last.carrier, last.remote, nowMs + kFormerPathMs};
  const FormerPaths* old = peer->former.load();
  std::size_t count = 1;
  for (std::size_t i = 0; old != nullptr && i < kMaxFormerPaths && count < kMaxFormerPaths; i++) {
    const FormerPaths::Entry& one = old->entries[i];
    if (one.until > nowMs && !(one.carrier == last.carrier && one.remote == last.remote)) fresh->entries[count++] = one;
  }
  peer->former.store(fresh);
  if (old != nullptr) epochs_.retire(old);
}

Peer* Routes::setPath(Spi spi, const Hit* peerHit, const Path& path, bool verified, std::uint64_t now,
                      std::uint32_t interface) {
  OutboundRoute* found = nullptr;
  std::size_t candidates = 0;
  const auto look = [&](const Peer& one) {
    for (OutboundRoute* route : one.outboundSas) {
      if (route->sa->spi() != spi) continue;
      found = route;
      candidates++;
    }
  };
  if (peerHit == nullptr) {
    peers_.each(look);
  } else if (const Peer* known = peers_.find(*peerHit); known != nullptr) {
    look(*known);
  }
  // Each peer chooses its SPIs itself: one could choose another's, to divert its traffic.
  if (candidates != 1) return nullptr;
  Peer* peer = found->peer;
  for (InboundRoute* inbound : peer->inboundSas) earnCredit(*inbound);
  epochs_.retire(found->destination.exchange(new Destination(path, verified, interface)));
  refreshMtu(*found, now);
  // Packets of the same association are expected from where ours go.
  rememberFormer(peer, path, now);
  for (InboundRoute* inbound : peer->inboundSas) {
    epochs_.retire(inbound->expected.exchange(new Path(path)));
  }
  return peer;
}

void Routes::setPathMtu(const Hit& hit, std::uint32_t mtu, std::uint64_t now) {
  Peer* peer = peers_.find(hit);
  if (peer == nullptr || peer->probedMtu.exchange(mtu) == mtu) return;
  for (OutboundRoute* route : peer->outboundSas) refreshMtu(*route, now);
}

void Routes::removeOutbound(OutboundRoute* route) {
  Peer* peer = route->peer;
  peer->outboundSas.erase(route);
  if (peer->via.load() == route) {
    // The control plane has not said what comes next: packets wait, and it hears about them.
    peer->miss.reset();
    peer->mode.store(Mode::Demand);
    peer->via.store(nullptr);
  }
  peer->txPackets += route->sa->counters.packets.load(std::memory_order_relaxed);
  peer->txBytes += route->sa->counters.bytes.load(std::memory_order_relaxed);
  route->sa->keys()->retire();
  const InnerPair* pair = route->pair.load();
  epochs_.retire(route);
  releasePair(*peer, pair);
}

bool Routes::dropOutbound(Spi spi, const Hit& hit) {
  const Peer* peer = peers_.find(hit);
  if (peer == nullptr) return false;
  const auto& all = peer->outboundSas;
  const auto found =
      std::find_if(all.begin(), all.end(), [spi](const OutboundRoute* one) { return one->sa->spi() == spi; });
  if (found == all.end()) return false;
  removeOutbound(*found);
  forgetIfUnused(hit);
  return true;
}

void Routes::removeInbound(InboundRoute* route) {
  Peer* peer = route->peer;
  earnCredit(*route);
  for (const InboundRoute::Entry& entry : route->entries) {
    if (entry.spi != 0 && bySpi(entry.spi) == route) spis_.erase(entry.spi);
  }
  peer->inboundSas.erase(route);
  if (peer->inbound.load() == route) {
    peer->inbound.store(peer->inboundSas.empty() ? nullptr : peer->inboundSas.back());
  }
  peer->rxPackets += route->sa->counters.packets.load(std::memory_order_relaxed);
  peer->rxBytes += route->sa->counters.bytes.load(std::memory_order_relaxed);
  route->sa->keys()->retire();
  const InnerPair* pair = route->pair.load();
  epochs_.retire(route);
  releasePair(*peer, pair);
}

bool Routes::dropInbound(Spi spi, const Hit& hit) {
  InboundRoute* route = bySpi(spi);
  if (route == nullptr || !(route->peer->hit == hit) || route->sa->spi() != spi) return false;
  removeInbound(route);
  forgetIfUnused(hit);
  return true;
}

Peer* Routes::setMode(const Hit& hit, Mode mode, Spi spi) {
  Peer* peer = mode == Mode::Unknown ? peers_.find(hit) : getOrMake(hit);
  if (peer == nullptr) return nullptr;
  OutboundRoute* via = nullptr;
  if (mode == Mode::Send) {
    for (OutboundRoute* route : peer->outboundSas) {
      if (route->sa->spi() == spi) via = route;
    }
    if (via == nullptr) mode = Mode::Reject;
  }
  // Readers look at `via` first, then at `mode`: "Send without an SA" is the only mixture that they may see, for a
  // moment.
  if (mode == Mode::Send) peer->via.store(via);
  // The first packet of each episode raises a miss: there may be no second one.
  if (mode == Mode::Demand && peer->mode.load() != Mode::Demand) peer->miss.reset();
  peer->mode.store(mode);
  if (mode != Mode::Send) peer->via.store(nullptr);
  return peer;
}

std::vector<AssociationStats> Routes::associations() const {
  std::vector<AssociationStats> list;
  list.reserve(peers_.size());
  peers_.each([&](const Peer& peer) {
    if (peer.outboundSas.empty() && peer.inboundSas.empty()) return;
    AssociationStats stats;
    stats.peer = peer.hit;
    stats.txPackets = peer.txPackets;
    stats.txBytes = peer.txBytes;
    stats.rxPackets = peer.rxPackets;
    stats.rxBytes = peer.rxBytes;
    const OutboundRoute* via = peer.via.load();
    if (via == nullptr && !peer.outboundSas.empty()) via = peer.outboundSas.back();
    if (via != nullptr) {
      stats.outSpi = via->sa->spi();
      stats.pathMtu = via->sa->pathMtu.load(std::memory_order_relaxed);
    }
    if (!peer.inboundSas.empty()) stats.inSpi = peer.inboundSas.back()->sa->spi();
    for (const OutboundRoute* route : peer.outboundSas) {
      stats.txPackets += route->sa->counters.packets.load(std::memory_order_relaxed);
      stats.txBytes += route->sa->counters.bytes.load(std::memory_order_relaxed);
    }
    for (const InboundRoute* route : peer.inboundSas) {
      stats.rxPackets += route->sa->counters.packets.load(std::memory_order_relaxed);
      stats.rxBytes += route->sa->counters.bytes.load(std::memory_order_relaxed);
    }
    list.push_back(stats);
  });
  return list;
}

}  // namespace hipd
