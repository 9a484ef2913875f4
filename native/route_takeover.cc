// The tables as they travel to a successor (takeover.h).
#include <algorithm>

#include "takeover.h"

namespace hipd {

namespace {

SavedSa saved(const Keys& keys, Spi spi, Spi lsiSpi, const Hit& localHit, const SaCounters& counters) {
  SavedSa sa;
  sa.spi = spi;
  sa.lsiSpi = lsiSpi;
  sa.suite = keys.suite();
  const bool salted = suiteShape(keys.suite()).integrityKeyLength == 0;  // GCM
  sa.encryptionKey = Secret(keys.encryptionKey(), salted ? keys.salt() : View{});
  sa.integrityKey = Secret(keys.integrityKey());
  sa.localHit = localHit;
  sa.packets = counters.packets.load();
  sa.bytes = counters.bytes.load();
  return sa;
}

SavedOutbound saved(const OutboundRoute& route) {
  const OutboundSa& sa = *route.sa;
  const Destination& destination = *route.destination.load();
  SavedOutbound one;
  one.sa = saved(*sa.keys(), sa.spi(), sa.lsiSpi(), sa.localHit(), sa.counters);
  one.softPackets = sa.softPackets();
  one.sealed = sa.sealed();
  one.pathMtu = sa.pathMtu.load();
  one.mtuAsked = route.mtuAsked.load();
  one.softPending = route.softPending.load();
  one.path = destination.path;
  one.verified = destination.verified;
  one.interface = destination.interface.load();
  return one;
}

SavedInbound saved(const InboundRoute& route) {
  const InboundSa& sa = *route.sa;
  SavedInbound one;
  one.sa = saved(*sa.keys(), sa.spi(), sa.lsiSpi(), sa.localHit(), sa.counters);
  one.family = sa.inboundFamily();
  one.idleAfter = route.idleAfter;
  one.idleRaised = route.idleRaised;
  one.added = route.added;
  one.untouched = sa.untouched.load();
  one.failures = sa.failures.load();
  one.expected = *route.expected.load();
  one.window = sa.window.save();
  return one;
}

SaParameters parametersOf(const SavedSa& sa, const Hit& peerHit) {
  SaParameters parameters;
  parameters.spi = sa.spi;
  parameters.lsiSpi = sa.lsiSpi;
  parameters.suite = sa.suite;
  parameters.encryptionKey = sa.encryptionKey.view();
  parameters.integrityKey = sa.integrityKey.view();
  parameters.localHit = sa.localHit;
  parameters.peerHit = peerHit;
  return parameters;
}

}  // namespace

std::uint32_t Routes::save(std::vector<SavedPeer>& peers) {
  std::uint32_t lost = 0;
  peers.reserve(peers_.size());
  peers_.each([&](Peer& peer) {
    lost += hold_.clear(peer.hold);
    for (InboundRoute* route : peer.inboundSas) earnCredit(*route);
    SavedPeer& one = peers.emplace_back();
    one.hit = peer.hit;
    one.mode = peer.mode.load();
    one.hasLsi = peer.hasLsi;
    one.lsi = peer.lsi;
    one.lastUsed = peer.lastUsed.load();
    one.probedMtu = peer.probedMtu.load();
    one.credit = std::clamp(peer.credit.get(), -kMostCredit, kMostCredit);
    one.txPackets = peer.txPackets;
    one.txBytes = peer.txBytes;
    one.rxPackets = peer.rxPackets;
    one.rxBytes = peer.rxBytes;
    one.outbound.reserve(peer.outboundSas.size());
    for (const OutboundRoute* route : peer.outboundSas) {
      if (route == peer.via.load()) one.via = static_cast<std::uint32_t>(one.outbound.size());
      one.outbound.push_back(saved(*route));
    }
    one.inbound.reserve(peer.inboundSas.size());
    for (const InboundRoute* route : peer.inboundSas) {
      if (route == peer.inbound.load()) one.newest = static_cast<std::uint32_t>(one.inbound.size());
      one.inbound.push_back(saved(*route));
    }
    if (const FormerPaths* former = peer.former.load(); former != nullptr) {
      for (const FormerPaths::Entry& entry : former->entries) {
        if (entry.until != 0) one.former.push_back(entry);
      }
    }
  });
  return lost;
}

bool Routes::restore(const SavedPeer& from) {
  if (peers_.find(from.hit) != nullptr || peers_.size() >= kMaxPeers) return false;
  auto* peer = new Peer(from.hit);
  peers_.insert(peer);
  peer->mode.store(from.mode);
  peer->lastUsed.store(from.lastUsed);
  peer->probedMtu.store(from.probedMtu);
  peer->credit.earn(from.credit);
  peer->txPackets = from.txPackets;
  peer->txBytes = from.txBytes;
  peer->rxPackets = from.rxPackets;
  peer->rxBytes = from.rxBytes;
  if (from.hasLsi) {
    if (aliases_.find(from.lsi) != nullptr) return false;
    peer->hasLsi = true;
    peer->lsi = from.lsi;
    aliases_.insert(new Alias{from.lsi, peer});
  }
  if (!from.former.empty()) {
    auto* former = new FormerPaths;
    std::copy_n(from.former.begin(), std::min(from.former.size(), kMaxFormerPaths), former->entries.begin());
    peer->former.store(former);
  }
  return restoreOutbound(peer, from) && restoreInbound(peer, from);
}

bool Routes::restoreOutbound(Peer* peer, const SavedPeer& from) {
  for (const SavedOutbound& one : from.outbound) {
    const auto same = [&](const OutboundRoute* other) { return other->sa->spi() == one.sa.spi; };
    if (std::any_of(peer->outboundSas.begin(), peer->outboundSas.end(), same)) return false;
    SaParameters parameters = parametersOf(one.sa, from.hit);
    parameters.softPackets = one.softPackets;
    std::unique_ptr<OutboundSa> sa = OutboundSa::make(parameters);
    if (sa == nullptr) return false;
    const bool passed = sa->follow(one.sealed);
    sa->counters.add(one.sa.packets, one.sa.bytes);
    sa->pathMtu.store(one.pathMtu);
    auto* route = new OutboundRoute(std::move(sa), peer);
    peer->outboundSas.push_back(route);
    route->destination.store(new Destination(one.path, one.verified, one.interface));
    route->pair.store(pairFor(*peer, one.sa.localHit));
    route->mtuAsked.store(one.mtuAsked);
    route->softPending.store(one.softPending || passed);
  }
  if (from.mode == Mode::Send && from.via >= peer->outboundSas.size()) return false;
  if (from.mode == Mode::Send) peer->via.store(peer->outboundSas[from.via]);
  return true;
}

bool Routes::restoreInbound(Peer* peer, const SavedPeer& from) {
  for (const SavedInbound& one : from.inbound) {
    if (spis_.size() + 2 > kMaxSas) return false;
    SaParameters parameters = parametersOf(one.sa, from.hit);
    parameters.inboundFamily = one.family;
    std::unique_ptr<InboundSa> sa = InboundSa::make(parameters);
    if (sa == nullptr || !sa->window.restore(one.window)) return false;
    sa->counters.add(one.sa.packets, one.sa.bytes);
    sa->untouched.store(one.untouched);
    sa->failures.store(one.failures);
    auto* route = new InboundRoute(std::move(sa), peer);
    peer->inboundSas.push_back(route);
    route->expected.store(new Path(one.expected));
    route->pair.store(pairFor(*peer, one.sa.localHit));
    route->idleAfter = one.idleAfter;
    route->idleRaised = one.idleRaised;
    route->added = one.added;
    route->credited.store(earned(*route));
    route->entries[0] = {one.sa.spi, route};
    route->entries[1] = {one.sa.lsiSpi, route};
    for (InboundRoute::Entry& entry : route->entries) {
      if (entry.spi == 0) continue;
      if (bySpi(entry.spi) != nullptr) return false;
      spis_.insert(&entry);
    }
  }
  if (peer->inboundSas.empty()) return true;
  if (from.newest >= peer->inboundSas.size()) return false;
  peer->inbound.store(peer->inboundSas[from.newest]);
  return true;
}

}  // namespace hipd
