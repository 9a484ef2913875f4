// What a data plane leaves to its successor: its format, and each of its parts on its own.
#include "../takeover.h"

#include <algorithm>

#include "../esp.h"
#include "sas.h"

using namespace hipd;
using namespace hipd::test;

namespace {

constexpr std::uint64_t kNow = 5'000'000'000'000;

Hit hit(std::uint8_t last) {
  return {{0x20, 0x01, 0x00, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}};
}

Path path(std::uint8_t last) {
  Path result;
  result.local = {{4, {192, 0, 2, 1}}, 10500};
  result.remote = {{4, {192, 0, 2, last}}, 10501};
  return result;
}

SavedSa sa(Suite suite, Spi spi, Spi lsiSpi) {
  const SuiteShape& shape = suiteShape(suite);
  const TestSa keys(shape);
  SavedSa result{spi, lsiSpi, suite, Secret(keys.encryption), Secret(keys.integrity), hit(1), 7, 7000};
  return result;
}

SavedPeer peer(std::uint8_t number, Suite suite) {
  SavedPeer result;
  result.hit = hit(number);
  result.mode = Mode::Send;
  result.hasLsi = true;
  result.lsi = {{198, 18, 0, number}};
  result.lastUsed = 4'999'000;
  result.probedMtu = 1400;
  result.credit = 12345;
  result.txPackets = 1;
  result.rxBytes = 4;
  const Spi spi = 0x1000u * number;
  result.outbound.push_back({sa(suite, spi, spi + 1), 1'000'000, 500, 1480, kNow - 9, false, path(number), true, 3});
  result.outbound.push_back({sa(suite, spi + 2, 0), 0, 9, 1480, kNow - 9, true, path(number), false, 0});
  result.via = 1;
  SavedInbound inbound;
  inbound.sa = sa(suite, spi, spi + 1);
  inbound.family = InnerFamily::Lsi;
  inbound.idleAfter = 9000;
  inbound.added = 4'000'000;
  inbound.untouched = false;
  inbound.failures = 2;
  inbound.expected = path(number);
  inbound.window = {0x1'0000'0123, true, std::vector<std::uint64_t>(ReplayWindow::kWords, ~0ULL)};
  for (std::size_t i = 0; i < 100; i += 7) inbound.window.words[i] = i;
  result.inbound.push_back(inbound);
  inbound.sa = sa(suite, spi + 2, 0);
  inbound.window = {0x123, false, {~0ULL, 0xfULL, 0, 0}};
  result.inbound.push_back(inbound);
  result.newest = 0;
  result.former.push_back({Carrier::Udp, {{4, {192, 0, 2, 99}}, 1}, 5'003'000});
  return result;
}

SavedPlane example() {
  SavedPlane plane;
  plane.options.interface = "hip0";
  plane.options.mtu = 1478;
  plane.options.ownLsi = {{198, 18, 0, 1}};
  plane.options.lsiPrefix = {{4, {198, 18}}, 15};
  plane.options.workers = 2;
  plane.options.busyPoll = 50;
  plane.options.aead = "builtin";
  plane.options.offloads.uso = false;
  plane.granted.gso = false;
  plane.headers = true;
  plane.suspendedAt = kNow;
  plane.workers = {{77}, {78}};
  plane.sockets = {{SocketUse::Udp4, 0}, {SocketUse::Udp4, 1}, {SocketUse::Near6, 0}};
  plane.counters = {{"esp_tx_packets_total", 5}, {"drop_esp_replay_total", 6}, {"gone_total", 1}};
  plane.flows = {FlowTable::kDefaultEntries, {1, 2}, {{5, 6}, {32767, 8}}};
  plane.events.push_back({EventType::Control, 1, 2, 3, hit(9), path(9), {1, 2, 3}});
  plane.events.push_back({EventType::Miss, 0, 0, 0, hit(8), {}, {}});
  std::uint8_t number = 10;
  for (const Suite suite : kSuites) plane.peers.push_back(peer(number++, suite));
  return plane;
}

void testRoundTrip() {
  const Octets bytes = encode(example());
  SavedPlane plane;
  CHECK(decode(bytes, plane, kNow).empty());
  CHECK(encode(plane) == bytes);
  CHECK(plane.options.aead == "builtin" && plane.options.busyPoll == 50 && plane.options.workers == 2);
  CHECK(!plane.options.offloads.uso && !plane.granted.gso && plane.granted.uso);
  CHECK_EQ(plane.workers[1].fragmentId, 78u);
  CHECK(plane.sockets[2].use == SocketUse::Near6);
  CHECK(plane.counters[1].first == "drop_esp_replay_total" && plane.counters[1].second == 6);
  CHECK(plane.events[0].bytes == Octets({1, 2, 3}) && plane.events[0].path == path(9));
  const SavedPeer& one = plane.peers[0];
  CHECK(one.hit == hit(10) && one.lsi == (Lsi{{198, 18, 0, 10}}) && one.credit == 12345);
  CHECK(one.outbound[1].softPending && !one.outbound[1].verified && one.outbound[0].interface == 3);
  CHECK(one.inbound[0].window.words == peer(10, Suite::AesGcm8).inbound[0].window.words);
  CHECK(one.inbound[1].window.words == (std::vector<std::uint64_t>{~0ULL, 0xfULL, 0, 0}));
  // The ring's full words take no room.
  CHECK(bytes.size() < 9000);
  passed("everything comes back as it was");
}

void testDamage() {
  const Octets bytes = encode(example());
  SavedPlane plane;
  for (std::size_t length = 0; length < bytes.size(); length++) {
    CHECK(!decode(View(bytes).first(length), plane, kNow).empty());
  }
  for (std::size_t i = 0; i < bytes.size(); i++) {
    Octets damaged = bytes;
    damaged[i] ^= 0x40;
    CHECK(!decode(damaged, plane, kNow).empty());
    // With a checksum that fits, no byte leads astray.
    if (i < kTakeoverHead) continue;
    sealTakeover(damaged);
    SavedPlane other;
    (void)decode(damaged, other, kNow);
  }
  Octets longer = bytes;
  longer.push_back(0);
  CHECK(!decode(longer, plane, kNow).empty());
  sealTakeover(longer);
  SavedPlane fresh;
  CHECK(decode(longer, fresh, kNow) == "the data plane that was handed over is damaged: its end");
  Octets newer = bytes;
  sealTakeover(newer, kTakeoverVersion + 1);
  CHECK(decode(newer, plane, kNow) == "the data plane was handed over in format 2, and this hipd reads format 1");
  CHECK(decode(Octets(100, 7), plane, kNow) == "what was handed over is not a data plane");
  SavedPlane early;
  CHECK(decode(bytes, early, kNow - 1) == "the data plane that was handed over is damaged: it is of another boot");
  passed("what is damaged, of another format or another boot is refused in words");
}

void testContradictions() {
  const auto refused = [](auto&& change) {
    SavedPlane plane = example();
    change(plane);
    SavedPlane read;
    return decode(encode(plane), read, kNow).starts_with("the data plane that was handed over is damaged");
  };
  CHECK(!refused([](SavedPlane&) {}));
  CHECK(refused([](SavedPlane& p) { p.options.workers = 3; }));
  CHECK(refused([](SavedPlane& p) { p.options.workers = 0; }));
  CHECK(refused([](SavedPlane& p) { p.options.interface = "a-name-of-sixteen"; }));
  CHECK(refused([](SavedPlane& p) { p.options.lsiPrefix.length = 33; }));
  CHECK(refused([](SavedPlane& p) { p.sockets[0].worker = 2; }));
  CHECK(refused([](SavedPlane& p) { p.flows.entries[0].first = FlowTable::kDefaultEntries; }));
  CHECK(refused([](SavedPlane& p) { p.events[0].type = EventType::Addresses; }));
  CHECK(refused([](SavedPlane& p) { p.events[0].bytes.resize(kMaxControl + 1); }));
  CHECK(refused([](SavedPlane& p) { p.peers[0].via = 2; }));
  CHECK(refused([](SavedPlane& p) { p.peers[0].mode = Mode::Demand; }));
  CHECK(refused([](SavedPlane& p) { p.peers[0].newest = SavedPeer::kNone; }));
  CHECK(refused([](SavedPlane& p) { p.peers[0].lastUsed = kNow; }));
  CHECK(refused([](SavedPlane& p) { p.peers[0].credit = kMostCredit + 1; }));
  CHECK(refused([](SavedPlane& p) { p.peers[0].outbound[0].sealed = 1ULL << 63; }));
  CHECK(refused([](SavedPlane& p) { p.peers[0].outbound[0].pathMtu = kMaxDatagram + 1; }));
  CHECK(refused([](SavedPlane& p) { p.peers[0].outbound[0].path.remote.address.family = 6; }));
  CHECK(refused([](SavedPlane& p) { p.peers[0].inbound[0].sa.suite = static_cast<Suite>(10); }));
  CHECK(refused([](SavedPlane& p) { p.peers[0].former[0].until = kNow; }));
  passed("what contradicts itself is refused");
}

void testWindow() {
  Dice dice(5);
  for (const unsigned spread : {1u, 40u, 3000u, 20000u}) {
    for (int round = 0; round < 20; round++) {
      ReplayWindow one;
      std::uint64_t top = 1 + dice.below(1u << 20);
      const auto next = [&] {
        top += dice.below(3);
        const std::uint64_t back = dice.below(spread);
        return top > back ? top - back : 1;
      };
      for (int i = 0; i < 5000; i++) (void)one.commit(next());
      ReplayWindow two;
      const ReplayWindow::Memory memory = one.save();
      CHECK_EQ(memory.words.size(), one.wide() ? std::size_t{ReplayWindow::kWords} : std::size_t{ReplayWindow::kNear});
      CHECK(two.restore(memory));
      CHECK(one.top() == two.top() && one.wide() == two.wide());
      for (int i = 0; i < 5000; i++) {
        const std::uint64_t sequence = next();
        CHECK(one.check(sequence) == two.check(sequence));
        CHECK(one.commit(sequence) == two.commit(sequence));
      }
    }
  }
  ReplayWindow window;
  CHECK(!window.restore({1, false, {1, 2, 3}}) && !window.restore({1, true, {1, 2, 3, 4}}));
  passed("a replay window forgets nothing");
}

void testSequences() {
  const TestSa keys(suiteShape(Suite::AesGcm16));
  SaParameters parameters = keys.parameters;
  parameters.softPackets = 5000;
  const auto first = OutboundSa::make(parameters);
  OutboundSa::Run run;
  for (int i = 0; i < 100; i++) CHECK(first->reserve(7, run) == Verdict::Ok);
  const std::uint64_t last = run.first + 6;
  const auto second = OutboundSa::make(parameters);
  CHECK(!second->follow(first->sealed()));
  CHECK(second->reserve(1, run) == Verdict::Ok);
  CHECK_EQ(run.first, last + 1 + kSequenceReserve);

  // The soft limit is told once, whoever passes it.
  const auto told = [&](std::uint64_t given) {
    const auto sa = OutboundSa::make(parameters);
    int count = sa->follow(given) ? 1 : 0;
    while (sa->reserve(1, run) == Verdict::Ok) count += run.softExpiry ? 1 : 0;
    CHECK(sa->sealed() >= 10'000);
    return count;
  };
  CHECK_EQ(told(0), 1);
  CHECK_EQ(told(4999 - kSequenceReserve), 1);
  CHECK_EQ(told(5000 - kSequenceReserve), 1);
  CHECK_EQ(told(4999), 1);
  CHECK_EQ(told(5000), 0);
  CHECK_EQ(told(9999), 0);
  CHECK_EQ(told((1ULL << 63) - 1), 0);
  passed("sequence numbers go on behind a gap, and the soft limit is told once");
}

void testFlows() {
  FlowTable one(1024, {1, 2});
  const auto key = [](std::uint16_t port) { return FlowKey{hit(3), proto::kTcp, port, 80}; };
  for (std::uint16_t i = 0; i < 100; i++) one.remember(key(i), i % 2 == 0 ? InnerFamily::Lsi : InnerFamily::Hit, 50);
  FlowTable two(1024, {3, 4});
  CHECK(two.restore(one.save()));
  for (std::uint16_t i = 0; i < 200; i++) CHECK(one.find(key(i), 60) == two.find(key(i), 60));
  CHECK(two.find(key(4), 60) == InnerFamily::Lsi && two.find(key(5), 60) == InnerFamily::Hit);
  FlowTable other(512, {1, 2});
  CHECK(!other.restore(one.save()));
  passed("flows are remembered");
}

/// Tables of their own.
struct Tables {
  Hold hold;
  Epochs epochs;
  Routes routes{epochs, hold, Lsi{{198, 18, 0, 1}}};
};

void testTables() {
  const SavedPlane plane = example();
  Tables one;
  for (const SavedPeer& each : plane.peers) CHECK(one.routes.restore(each));
  const Octets packet(100, 1);
  CHECK(one.hold.push(one.routes.byHit(hit(11))->hold, packet).stored);
  SavedPlane again = plane;
  again.peers.clear();
  CHECK_EQ(one.routes.save(again.peers), 1u);
  CHECK_EQ(one.hold.used(), 0u);
  CHECK_EQ(again.peers.size(), plane.peers.size());
  std::sort(again.peers.begin(), again.peers.end(),
            [](const SavedPeer& a, const SavedPeer& b) { return a.hit.bytes < b.hit.bytes; });
  for (std::size_t i = 0; i < again.peers.size(); i++) {
    std::vector<SavedOutbound>& list = again.peers[i].outbound;
    CHECK_EQ(list[0].sealed, plane.peers[i].outbound[0].sealed + kSequenceReserve);
    // 0 is the largest that there is.
    CHECK(list[1].softPackets > 1ULL << 60);
    list[1].softPackets = 0;
    for (SavedOutbound& each : list) each.sealed -= kSequenceReserve;
  }
  CHECK(encode(again) == encode(plane));
  CHECK(one.routes.byLsi({{198, 18, 0, 12}})->hit == hit(12));
  CHECK(one.routes.bySpi(0xa001)->peer->hit == hit(10) && one.routes.bySpi(0xa002)->sa->lsiSpi() == 0);
  CHECK(one.routes.byHit(hit(10))->via.load()->sa->spi() == 0xa002);

  const auto refused = [&](auto&& change) {
    Tables tables;
    CHECK(tables.routes.restore(plane.peers[0]));
    SavedPeer other = plane.peers[1];
    change(other);
    return !tables.routes.restore(other);
  };
  CHECK(!refused([](SavedPeer&) {}));
  CHECK(refused([](SavedPeer& p) { p.hit = hit(10); }));
  CHECK(refused([](SavedPeer& p) { p.lsi = {{198, 18, 0, 10}}; }));
  CHECK(refused([](SavedPeer& p) { p.inbound[1].sa.spi = 0xa001; }));
  CHECK(refused([](SavedPeer& p) { p.inbound[1].sa.spi = p.inbound[0].sa.lsiSpi; }));
  CHECK(refused([](SavedPeer& p) { p.outbound[1].sa.spi = p.outbound[0].sa.spi; }));
  CHECK(refused([](SavedPeer& p) { p.outbound[1].sa.encryptionKey = Secret(Octets(3)); }));
  CHECK(refused([](SavedPeer& p) { p.inbound[0].sa.spi = 255; }));
  CHECK(refused([](SavedPeer& p) { p.inbound[0].window.words.pop_back(); }));
  passed("tables are built anew, and contradictions refused");
}

}  // namespace

int main() {
  testRoundTrip();
  testDamage();
  testContradictions();
  testWindow();
  testSequences();
  testFlows();
  testTables();
}
