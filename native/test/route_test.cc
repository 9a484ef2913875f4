// Peers and SAs: what the control plane says becomes what workers see.
#include <chrono>
#include <thread>

#include "check.h"
#include "tables.h"

using namespace hipd;
using namespace hipd::test;

namespace {

constexpr std::array<std::uint8_t, 20> kOtherKey{9, 9, 9};

void routesAndModes() {
  Tables t;
  CHECK(t.routes.byHit(hit(2)) == nullptr);
  CHECK(t.routes.setMode(hit(2), Mode::Unknown, 0) == nullptr);
  Peer* peer = t.routes.setMode(hit(2), Mode::Demand, 0);
  CHECK(peer == t.routes.byHit(hit(2)));
  CHECK(peer->mode.load() == Mode::Demand);
  CHECK(peer->miss.take(1));
  CHECK(!peer->miss.take(2));

  CHECK(t.routes.addOutbound(sa(1000, hit(2)), path(1), 1) == Routes::Added::Done);
  CHECK(peer->via.load() == nullptr);
  t.routes.setMode(hit(2), Mode::Send, 1000);
  CHECK(peer->via.load() != nullptr);
  CHECK_EQ(peer->via.load()->sa->spi(), 1000u);
  t.routes.setMode(hit(2), Mode::Send, 1001);  // no such SA
  CHECK(peer->via.load() == nullptr);
  CHECK(peer->mode.load() == Mode::Reject);

  // An SA that goes while it is in use: packets wait.
  t.routes.setMode(hit(2), Mode::Send, 1000);
  CHECK(t.routes.dropOutbound(1000, hit(2)));
  CHECK(!t.routes.dropOutbound(1000, hit(2)));
  CHECK(peer->via.load() == nullptr);
  CHECK(peer->mode.load() == Mode::Demand);
  CHECK(peer->miss.take(3));  // and the first of them says so at once

  t.routes.setMode(hit(2), Mode::Unknown, 0);
  t.routes.forgetIfUnused(hit(2));
  CHECK(t.routes.byHit(hit(2)) == nullptr);
}

void sequenceNumbersNeverStartAgain() {
  Tables t;
  CHECK(t.routes.addOutbound(sa(1000, hit(2)), path(1), 1) == Routes::Added::Done);
  Peer* peer = t.routes.setMode(hit(2), Mode::Send, 1000);
  OutboundSa::Run run;
  CHECK(peer->via.load()->sa->reserve(5, run) == Verdict::Ok);
  CHECK(t.routes.addOutbound(sa(1000, hit(2)), path(1), 1) == Routes::Added::Repeated);
  CHECK_EQ(peer->via.load()->sa->sealed(), 5u);
  // Another key under the same SPI is another SA, and the route follows.
  CHECK(t.routes.addOutbound(sa(1000, hit(2), kOtherKey), path(1), 1) == Routes::Added::Done);
  CHECK_EQ(peer->via.load()->sa->sealed(), 0u);

  CHECK(t.routes.addInbound(sa(2000, hit(2)), path(1), 0, 1) == Routes::Added::Done);
  CHECK(t.routes.bySpi(2000)->sa->window.commit(7) == Verdict::Ok);
  CHECK(t.routes.addInbound(sa(2000, hit(2)), path(1), 0, 1) == Routes::Added::Repeated);
  CHECK(t.routes.bySpi(2000)->sa->window.commit(7) == Verdict::EspReplay);
}

void refusesWhatDoesNotFit() {
  Tables t;
  CHECK(t.routes.addOutbound(sa(255, hit(2)), path(1), 1) == Routes::Added::BadKeys);
  CHECK(t.routes.addOutbound(sa(1000, hit(2), View(kKey).first(19)), path(1), 1) == Routes::Added::BadKeys);
  CHECK(t.routes.addInbound(sa(1000, hit(2), View(kKey).first(0)), path(1), 0, 1) == Routes::Added::BadKeys);
  CHECK(t.routes.byHit(hit(2)) == nullptr);
  for (std::uint32_t i = 0; i < kMaxSasOfPeer; i++) {
    CHECK(t.routes.addOutbound(sa(1000 + i, hit(2)), path(1), 1) == Routes::Added::Done);
  }
  CHECK(t.routes.addOutbound(sa(2000, hit(2)), path(1), 1) == Routes::Added::Full);
}

void secondSpi() {
  Tables t;
  SaParameters parameters = sa(3000, hit(2));
  parameters.lsiSpi = 3001;
  CHECK(t.routes.addInbound(parameters, path(1), 0, 1) == Routes::Added::Done);
  CHECK(t.routes.bySpi(3000) != nullptr);
  CHECK(t.routes.bySpi(3000) == t.routes.bySpi(3001));
  CHECK(!t.routes.dropInbound(3001, hit(2)));
  CHECK(!t.routes.dropInbound(3000, hit(3)));
  CHECK(t.routes.dropInbound(3000, hit(2)));
  CHECK(t.routes.bySpi(3001) == nullptr);
  CHECK_EQ(t.routes.spiCount(), 0u);
}

/// During a rekeying both inbound SAs work; `idle` is the newer one's.
void overlappingInbound() {
  Tables t;
  CHECK(t.routes.addInbound(sa(3000, hit(2)), path(1), 0, 1) == Routes::Added::Done);
  CHECK(t.routes.addInbound(sa(4000, hit(2)), path(1), 0, 1) == Routes::Added::Done);
  CHECK(t.routes.bySpi(3000) != nullptr && t.routes.bySpi(4000) != nullptr);
  const Peer* peer = t.routes.byHit(hit(2));
  CHECK(peer->inbound.load() == t.routes.bySpi(4000));
  CHECK(t.routes.dropInbound(4000, hit(2)));
  CHECK(peer->inbound.load() == t.routes.bySpi(3000));
}

void pathsAndChosenSpis() {
  Tables t;
  CHECK(t.routes.addOutbound(sa(1000, hit(2)), path(1), 1) == Routes::Added::Done);
  CHECK(t.routes.addInbound(sa(5000, hit(2)), path(1), 0, 1) == Routes::Added::Done);
  CHECK(t.routes.setPath(1000, nullptr, path(2), true, 1));
  const Peer* peer = t.routes.setMode(hit(2), Mode::Send, 1000);
  CHECK(peer->via.load()->destination.load()->path == path(2));
  CHECK(*t.routes.bySpi(5000)->expected.load() == path(2));
  // A second peer chooses the first one's SPI: without a name nobody's path changes.
  CHECK(t.routes.addOutbound(sa(1000, hit(3)), path(9), 1) == Routes::Added::Done);
  CHECK(!t.routes.setPath(1000, nullptr, path(3), true, 1));
  const Hit second = hit(3);
  CHECK(t.routes.setPath(1000, &second, path(3), true, 1));
  CHECK(peer->via.load()->destination.load()->path == path(2));
  CHECK(!t.routes.setPath(1001, nullptr, path(3), true, 1));
}

/// All SAs between the same two HITs have one pair, also when it changes and when some of them go.
void sharedPairs() {
  Tables t;
  const Hit peer = hit(2);
  CHECK(t.routes.addInbound(sa(3000, peer), path(1), 0, 1) == Routes::Added::Done);
  CHECK(t.routes.addInbound(sa(4000, peer), path(1), 0, 1) == Routes::Added::Done);
  CHECK(t.routes.addOutbound(sa(1000, peer), path(1), 1) == Routes::Added::Done);
  SaParameters other = sa(5000, peer);
  other.localHit = hit(7);
  CHECK(t.routes.addInbound(other, path(1), 0, 1) == Routes::Added::Done);
  const auto pair = [&](Spi spi) { return t.routes.bySpi(spi)->pair.load(); };
  const Peer* known = t.routes.byHit(peer);
  const auto outbound = [&] { return (*known->outboundSas.begin())->pair.load(); };
  CHECK(pair(3000) == pair(4000) && pair(3000) == outbound());
  CHECK(pair(5000) != pair(3000) && pair(5000)->localHit == hit(7));
  const Lsi lsi{{198, 18, 0, 2}};
  CHECK(t.routes.setAlias(lsi, &peer));
  CHECK(pair(3000) == pair(4000) && pair(3000) == outbound() && pair(3000)->hasLsi);
  CHECK(pair(5000)->hasLsi && pair(5000)->localHit == hit(7));
  t.epochs.reclaim();
  CHECK(t.routes.dropInbound(3000, peer));
  CHECK(t.routes.addOutbound(sa(1000, peer, std::array<std::uint8_t, 20>{9}), path(1), 1) == Routes::Added::Done);
  t.epochs.reclaim();
  CHECK(pair(4000) == outbound() && pair(4000)->peerLsi == lsi);
  CHECK_EQ(known->outboundSas.size(), 1u);
  CHECK_EQ(known->inboundSas.size(), 2u);
  CHECK(known->inboundSas.back() == t.routes.bySpi(5000));
  CHECK(t.routes.dropInbound(4000, peer) && t.routes.dropOutbound(1000, peer));
  t.epochs.reclaim();
  CHECK(pair(5000)->localHit == hit(7));
}

void aliases() {
  Tables t;
  const Hit second = hit(2);
  const Hit third = hit(3);
  const Lsi lsi{{198, 18, 0, 2}};
  const Lsi other{{198, 18, 0, 3}};
  CHECK(t.routes.addOutbound(sa(1000, second), path(1), 1) == Routes::Added::Done);
  t.routes.setMode(second, Mode::Send, 1000);
  CHECK(!t.routes.byHit(second)->via.load()->pair.load()->hasLsi);
  CHECK(t.routes.setAlias(lsi, &second));
  CHECK(t.routes.byLsi(lsi) == t.routes.byHit(second));
  CHECK(t.routes.byHit(second)->via.load()->pair.load()->peerLsi == lsi);
  CHECK(t.routes.setAlias(other, &second));  // one LSI for each peer
  CHECK(t.routes.byLsi(lsi) == nullptr);
  CHECK(t.routes.setAlias(other, &third));  // and one peer for each LSI
  CHECK(t.routes.byLsi(other) == t.routes.byHit(third));
  CHECK(!t.routes.byHit(second)->via.load()->pair.load()->hasLsi);
  CHECK(t.routes.setAlias(other, nullptr));
  CHECK(t.routes.byLsi(other) == nullptr);
  CHECK(t.routes.byHit(third) == nullptr);  // nothing else kept it
  CHECK(t.routes.setAlias(other, nullptr));
}

void statsOutliveRekeying() {
  Tables t;
  CHECK(t.routes.addOutbound(sa(1000, hit(2)), path(1), 1) == Routes::Added::Done);
  CHECK(t.routes.addInbound(sa(5000, hit(2)), path(1), 0, 1) == Routes::Added::Done);
  Peer* peer = t.routes.setMode(hit(2), Mode::Send, 1000);
  peer->via.load()->sa->counters.add(3, 300);
  t.routes.bySpi(5000)->sa->counters.add(4, 400);
  CHECK(t.routes.addOutbound(sa(1001, hit(2)), path(1), 1) == Routes::Added::Done);
  t.routes.setMode(hit(2), Mode::Send, 1001);
  CHECK(t.routes.dropOutbound(1000, hit(2)));
  peer->via.load()->sa->counters.add(1, 1);
  const auto list = t.routes.associations();
  CHECK_EQ(list.size(), 1u);
  CHECK_EQ(list[0].txPackets, 4u);
  CHECK_EQ(list[0].txBytes, 301u);
  CHECK_EQ(list[0].rxBytes, 400u);
  CHECK_EQ(list[0].outSpi, 1001u);
  CHECK_EQ(list[0].inSpi, 5000u);
  CHECK(list[0].pathMtu >= 1280);
  // A new association begins at zero.
  CHECK(t.routes.dropOutbound(1001, hit(2)));
  CHECK(t.routes.dropInbound(5000, hit(2)));
  CHECK_EQ(t.routes.associations().size(), 0u);
  CHECK(t.routes.addOutbound(sa(1002, hit(2)), path(1), 1) == Routes::Added::Done);
  CHECK_EQ(t.routes.associations()[0].txPackets, 0u);
}

/// A worker's look-ups while everything around it comes and goes.
void readerWhileTablesChange() {
  Tables t;
  std::atomic<bool> stop{false};
  std::uint64_t found = 0;
  std::thread worker([&] {
    const std::size_t reader = t.epochs.join();
    while (!stop.load()) {
      t.epochs.online(reader);
      for (std::uint32_t i = 0; i < 20; i++) {
        Peer* peer = t.routes.byHit(hit(i));
        if (peer != nullptr) {
          OutboundRoute* via = peer->via.load();
          if (via != nullptr) {
            CHECK(via->sa->peerHit() == peer->hit);
            CHECK_EQ(via->destination.load()->path.remote.address.bytes[0], 127);
            CHECK(via->pair.load()->peerHit == peer->hit);
            found++;
          } else if (peer->mode.load() == Mode::Demand) {
            t.hold->push(peer->hold, kKey);
          }
        }
        InboundRoute* inbound = t.routes.bySpi(10'000 + i);
        if (inbound != nullptr) {
          CHECK(inbound->sa->peerHit() == inbound->peer->hit);
          CHECK(inbound->expected.load()->carrier == Carrier::Udp);
        }
        t.routes.byLsi(Lsi{{198, 18, 1, static_cast<std::uint8_t>(i)}});
      }
      t.routes.eachInbound([](InboundRoute& route) { CHECK(route.entries[0].route == &route); });
      t.epochs.offline(reader);
    }
  });
  for (int round = 0; round < 60; round++) {
    for (std::uint32_t i = 0; i < 20; i++) {
      const Hit peer = hit(i);
      const Lsi lsi{{198, 18, 1, static_cast<std::uint8_t>(i)}};
      t.routes.setMode(peer, Mode::Demand, 0);
      t.routes.setAlias(lsi, &peer);
      t.routes.addInbound(sa(10'000 + i, peer), path(1), 0, 1);
      t.routes.addOutbound(sa(20'000 + i, peer), path(1), 1);
      t.routes.setMode(peer, Mode::Send, 20'000 + i);
      t.routes.setPath(20'000 + i, &peer, path(2), true, 1);
    }
    for (std::uint32_t i = 0; i < 20; i++) {
      const Hit peer = hit(i);
      t.routes.dropInbound(10'000 + i, peer);
      t.routes.dropOutbound(20'000 + i, peer);
      t.routes.setAlias(Lsi{{198, 18, 1, static_cast<std::uint8_t>(i)}}, nullptr);
      t.routes.setMode(peer, Mode::Unknown, 0);
      t.routes.forgetIfUnused(peer);
    }
  }
  stop.store(true);
  worker.join();
  CHECK_EQ(t.routes.peerCount(), 0u);
  CHECK_EQ(t.epochs.reclaim(), 0u);
  CHECK_EQ(t.hold->used(), 0u);  // also what was put into queues of peers that were just being forgotten
}

void tenThousandOneByOne() {
  Tables t;
  const auto start = std::chrono::steady_clock::now();
  for (std::uint32_t i = 0; i < 10'000; i++) {
    CHECK(t.routes.addInbound(sa(10'000 + i, hit(i)), path(1), 0, 1) == Routes::Added::Done);
    CHECK(t.routes.addOutbound(sa(50'000 + i, hit(i)), path(1), 1) == Routes::Added::Done);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CHECK(seconds < 10);  // about 0.2 without sanitizers
  CHECK_EQ(t.routes.associations().size(), 10'000u);
}

}  // namespace

int main() {
  routesAndModes();
  sequenceNumbersNeverStartAgain();
  refusesWhatDoesNotFit();
  secondSpi();
  overlappingInbound();
  pathsAndChosenSpis();
  sharedPairs();
  aliases();
  statsOutliveRekeying();
  readerWhileTablesChange();
  tenThousandOneByOne();
}
