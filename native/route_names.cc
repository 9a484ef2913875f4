// What peers are called: their LSIs, and the pairs of names that packets are translated between.
#include <algorithm>

#include "route.h"

namespace hipd {

const InnerPair* Routes::sharedPair(const Peer& peer, const Hit& localHit) {
  const auto find = [&](const auto& routes) -> const InnerPair* {
    for (const auto* route : routes) {
      const InnerPair* pair = route->pair.load();
      if (pair != nullptr && pair->localHit == localHit) return pair;
    }
    return nullptr;
  };
  const InnerPair* pair = find(peer.outboundSas);
  return pair != nullptr ? pair : find(peer.inboundSas);
}

void Routes::releasePair(const Peer& peer, const InnerPair* pair) {
  if (pair != nullptr && sharedPair(peer, pair->localHit) != pair) epochs_.retire(pair);
}

const InnerPair* Routes::pairFor(const Peer& peer, const Hit& localHit) const {
  const InnerPair* shared = sharedPair(peer, localHit);
  if (shared != nullptr) return shared;
  return peer.hasLsi ? new InnerPair(InnerPair::make(localHit, peer.hit, ownLsi_, peer.lsi))
                     : new InnerPair(InnerPair::make(localHit, peer.hit));
}

void Routes::refreshPairs(Peer* peer) {
  const auto refresh = [&](const Hit& localHit) {
    const InnerPair* const old = sharedPair(*peer, localHit);
    const auto* const fresh = peer->hasLsi ? new InnerPair(InnerPair::make(localHit, peer->hit, ownLsi_, peer->lsi))
                                           : new InnerPair(InnerPair::make(localHit, peer->hit));
    for (OutboundRoute* route : peer->outboundSas) {
      if (route->pair.load() == old) route->pair.store(fresh);
    }
    for (InboundRoute* route : peer->inboundSas) {
      if (route->pair.load() == old) route->pair.store(fresh);
    }
    epochs_.retire(old);
  };
  std::vector<Hit> done;
  const auto once = [&](const Hit& localHit) {
    if (std::find(done.begin(), done.end(), localHit) != done.end()) return;
    refresh(localHit);
    done.push_back(localHit);
  };
  for (const OutboundRoute* route : peer->outboundSas) once(route->sa->localHit());
  for (const InboundRoute* route : peer->inboundSas) once(route->sa->localHit());
}

void Routes::removeAlias(Peer* peer) {
  Alias* old = aliases_.erase(peer->lsi);
  peer->hasLsi = false;
  if (old != nullptr) epochs_.retire(old);
}

bool Routes::setAlias(const Lsi& lsi, const Hit* hit) {
  const Alias* old = aliases_.find(lsi);
  if (old != nullptr) {
    Peer* before = old->peer;
    if (hit != nullptr && before->hit == *hit) return true;
    removeAlias(before);
    refreshPairs(before);
    forgetIfUnused(before->hit);
  }
  if (hit == nullptr) return true;
  Peer* peer = getOrMake(*hit);
  if (peer == nullptr) return false;
  if (peer->hasLsi) removeAlias(peer);
  peer->hasLsi = true;
  peer->lsi = lsi;
  aliases_.insert(new Alias{lsi, peer});
  refreshPairs(peer);
  return true;
}

}  // namespace hipd
