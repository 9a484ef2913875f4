// Planes that are suspended and resumed, with real TUN devices and sockets: what flows, what waits, what is refused,
// and how long it takes. Skipped where namespaces are not allowed.
#include <sys/prctl.h>

#include <optional>

#include "../esp.h"
#include "../service.h"
#include "namespace.h"
#include "resumes.h"

using namespace hipd;
using namespace hipd::test;

namespace {

constexpr std::size_t kIpv6 = 40;

/// UDP from A to B with a number, behind an empty virtio-net header.
Octets numbered(std::uint32_t number) {
  const std::size_t size = 64 + number * 37 % 1300;
  Octets packet(sizeof(VirtioHeader) + size);
  std::uint8_t* const ip = packet.data() + sizeof(VirtioHeader);
  putIpv6(ip, kHitA, kHitB, proto::kUdp, size - kIpv6);
  putUdp({ip + kIpv6, size - kIpv6}, 1000);
  store16(ip + 46, 1);
  store32(ip + 48, number);
  return packet;
}

/// The number of a packet that came out whole; nothing when none comes.
std::optional<std::uint32_t> take(const End& end, std::chrono::milliseconds patience) {
  const Octets packet = end.take(patience);
  if (packet.size() < sizeof(VirtioHeader) + 52 || packet[sizeof(VirtioHeader) + 6] != proto::kUdp) return std::nullopt;
  const std::uint32_t number = load32(packet.data() + sizeof(VirtioHeader) + 48);
  CHECK_EQ(packet.size(), numbered(number).size());
  return number;
}

std::uint64_t sequenceAfter(const Given& given) {
  SavedPlane saved;
  CHECK(decode(given.blob, saved, monotonicNow()).empty());
  for (const SavedPeer& peer : saved.peers) {
    if (!peer.outbound.empty()) return peer.outbound[0].sealed;
  }
  return 0;
}

/// Packets flow without a pause while both ends follow themselves again and again.
void flowsOn(std::size_t inFlight, const char* name) {
  TwoPlanes pair(1500, kPlain, kPlain);
  pair.open();
  constexpr std::uint32_t kPackets = 30'000;
  constexpr int kRounds = 12;
  std::atomic<std::uint32_t> sent{0};
  std::atomic<std::uint32_t> received{0};
  std::thread source([&] {
    for (std::uint32_t number = 0; number < kPackets; number++) {
      while (number >= received.load() + inFlight) std::this_thread::yield();
      pair.a.give(numbered(number));
      sent.store(number + 1);
    }
  });
  std::vector<bool> seen(kPackets);
  std::thread sink([&] {
    while (received.load() < kPackets) {
      const std::optional<std::uint32_t> number = take(pair.b, std::chrono::milliseconds(10'000));
      if (!number.has_value()) fail(name, __LINE__, "a packet was lost");
      CHECK(!seen[*number]);
      // One worker, one queue: the order stays.
      CHECK_EQ(*number, received.load());
      seen[*number] = true;
      received.fetch_add(1);
    }
  });
  std::uint64_t before = 0;
  for (int round = 0; round < kRounds; round++) {
    const std::uint32_t mark = sent.load() + kPackets / kRounds / 2;
    while (sent.load() < std::min(mark, kPackets)) std::this_thread::yield();
    const Given given = suspend(pair.a);
    const std::uint64_t sealed = sequenceAfter(given);
    CHECK(round == 0 || sealed >= before + kSequenceReserve);
    before = sealed;
    if (round % 2 == 0) pair.a.plane.reset();
    goOn(pair.a, given);
    follow(pair.b, round % 3 == 0);
  }
  source.join();
  sink.join();
  // A number that was sealed twice would have been refused.
  for (const char* none : {"drop_esp_replay_total", "drop_esp_stale_total", "drop_esp_auth_total"}) {
    CHECK_EQ(pair.b.count(none), 0u);
  }
  CHECK_EQ(pair.a.count("esp_tx_packets_total"), kPackets);
  CHECK_EQ(pair.b.count("esp_rx_packets_total"), kPackets);
  const Given last = suspend(pair.a);
  CHECK_EQ(sequenceAfter(last), kPackets + kRounds * kSequenceReserve);
  forget(last);
  passed(name);
}

/// What comes while nobody serves the device and the sockets is served afterwards.
void waitsMeanwhile() {
  TwoPlanes pair(1500, kPlain, kPlain);
  pair.open();
  const Given b = suspend(pair.b);
  pair.b.plane.reset();
  for (std::uint32_t number = 0; number < 300; number++) pair.a.give(numbered(number));
  CHECK(pair.a.reaches("esp_tx_packets_total", 300));
  const Given a = suspend(pair.a);
  pair.a.plane.reset();
  for (std::uint32_t number = 300; number < 600; number++) pair.a.give(numbered(number));
  goOn(pair.b, b);
  for (std::uint32_t number = 0; number < 300; number++) {
    CHECK(take(pair.b, std::chrono::seconds(3)) == number);
  }
  CHECK(!take(pair.b, std::chrono::milliseconds(20)).has_value());
  goOn(pair.a, a);
  CHECK(pair.a.plane->gap() > 0);
  for (std::uint32_t number = 300; number < 600; number++) {
    CHECK(take(pair.b, std::chrono::seconds(3)) == number);
  }
  passed("what comes meanwhile is delivered in order");
}

/// Somebody recorded packets before, and sends them again afterwards.
void refusesReplays() {
  End b("hipB", kPortB, kLsiB, kPlain);
  Path from;
  from.local = {{4, {127, 0, 0, 1}}, kPortB};
  from.remote = {{4, {127, 0, 0, 1}}, kPortA};
  CHECK(b.plane->addInbound(associationOf(kHitB, kHitA), from, 0) == Routes::Added::Done);
  const auto sa = OutboundSa::make(associationOf(kHitA, kHitB));
  CipherCache cache;
  std::vector<Octets> recorded;
  for (std::uint32_t number = 0; number < 2000; number++) {
    const Octets packet = numbered(number);
    const View payload[] = {View(packet).subspan(sizeof(VirtioHeader) + kIpv6)};
    Octets sealed(2000);
    esp::Sealed result;
    CHECK(esp::seal(cache, *sa, kSpi, proto::kUdp, payload, sealed, result) == Verdict::Ok);
    sealed.resize(result.length);
    recorded.push_back(std::move(sealed));
  }
  const Socket socket = openUdp(4, kPortA, false);
  CHECK(socket.error.empty());
  const SocketAddress to(from.local);
  const auto play = [&](std::size_t i) {
    CHECK(sendto(socket.fd.get(), recorded[i].data(), recorded[i].size(), 0, &to.any, to.length) > 0);
  };
  // Every third is missing, so that the window is a ring.
  std::uint32_t played = 0;
  for (std::uint32_t i = 0; i < 1500; i++) {
    if (i % 3 == 1) continue;
    play(i);
    CHECK(take(b, std::chrono::seconds(3)) == i);
    played++;
  }
  follow(b, true);
  for (std::uint32_t i = 0; i < 1500; i++) {
    if (i % 3 != 1) play(i);
  }
  CHECK(b.reaches("drop_esp_replay_total", played));
  // Late ones are still taken, once.
  for (std::uint32_t i = 1; i < 1500; i += 3) {
    play(i);
    CHECK(take(b, std::chrono::seconds(3)) == i);
  }
  for (std::uint32_t i = 1; i < 1500; i += 3) play(i);
  CHECK(b.reaches("drop_esp_replay_total", 1500));
  passed("what was received before is refused afterwards");
}

/// Whatever is wrong is said, and the right ones can still be used.
void refusesStrangers() {
  TwoPlanes pair(1500);
  pair.open();
  const Given given = suspend(pair.a);
  pair.a.plane.reset();
  const Fd stranger(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const Fd device(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  const std::size_t descriptors = openDescriptors();
  const auto refused = [&](const char* word, auto&& change) {
    Given other = given;
    change(other);
    std::string error;
    CHECK(resume(other, error) == nullptr);
    if (error.find(word) == std::string::npos) fail(error.c_str(), __LINE__, word);
    CHECK_EQ(openDescriptors(), descriptors);
  };
  refused("damaged", [](Given& g) { g.blob[g.blob.size() / 2] ^= 1; });
  refused("format 9", [](Given& g) { sealTakeover(g.blob, 9); });
  refused("0 queues", [](Given& g) { g.tuns.clear(); });
  refused("1 sockets", [](Given& g) { g.sockets.pop_back(); });
  refused("cannot be used", [](Given& g) { g.sockets[0] = 1000; });
  refused("hipA", [&](Given& g) { g.tuns[0] = stranger.get(); });
  refused("hipA", [&](Given& g) { g.tuns[0] = device.get(); });
  refused("hipA", [&](Given& g) { g.tuns[0] = g.sockets[0]; });
  refused("port 10500", [&](Given& g) { g.sockets[0] = stranger.get(); });
  refused("IPv4", [](Given& g) { std::swap(g.sockets[0], g.sockets[1]); });
  refused("protocol 17", [](Given& g) { g.sockets[0] = g.tuns[0]; });
  goOn(pair.a, given);
  pair.a.give(numbered(1));
  CHECK(take(pair.b, std::chrono::seconds(3)) == 1u);
  passed("descriptors that are others, and damage, are refused and cost nothing");
}

/// The ticket is the last thing that is asked for: whatever else is wrong leaves it to others, and without it nothing
/// starts.
void ticketDecides() {
  TwoPlanes pair(1500);
  pair.open();
  const Given given = suspend(pair.a);
  pair.a.plane.reset();
  const service::Made first = service::makeTicket();
  const std::size_t descriptors = openDescriptors();
  std::string error;
  Given damaged = given;
  damaged.blob[damaged.blob.size() / 2] ^= 1;
  CHECK(resume(damaged, error, first.fd.get()) == nullptr);
  Given newer = given;
  sealTakeover(newer.blob, kTakeoverVersion + 1);
  CHECK(resume(newer, error, first.fd.get()) == nullptr);
  CHECK(resume(given, error, given.sockets[0]) == nullptr && error.find("memfd") != std::string::npos);
  CHECK(service::takeTicket(first.fd.get()).taken);
  CHECK(resume(given, error, first.fd.get()) == nullptr && error.find("somebody else") != std::string::npos);
  CHECK_EQ(openDescriptors(), descriptors);
  const service::Made second = service::makeTicket();
  pair.a.plane = resume(given, error, second.fd.get());
  CHECK(pair.a.plane != nullptr);
  CHECK(!service::takeTicket(second.fd.get()).taken);
  pair.a.give(numbered(1));
  CHECK(take(pair.b, std::chrono::seconds(3)) == 1u);
  passed("only who gets the ticket goes on");
}

/// Events that nobody has read travel along; packets that wait do not, and are counted.
void eventsTravel() {
  TwoPlanes pair(1500, kPlain, kPlain);
  pair.a.plane->route(kHitB, Mode::Demand, 0);
  for (std::uint32_t number = 0; number < 5; number++) pair.a.give(numbered(number));
  CHECK(pair.a.reaches("held_total", 5));
  Given given = suspend(pair.a);
  SavedPlane saved;
  CHECK(decode(given.blob, saved, monotonicNow()).empty());
  CHECK(saved.events.size() == 1 && saved.events[0].type == EventType::Miss && saved.events[0].peer == kHitB);
  goOn(pair.a, given);
  CHECK_EQ(pair.a.count("drop_closing_total"), 5u);
  CHECK_EQ(pair.a.count("held_bytes"), 0u);
  CHECK_EQ(pair.a.count("event_queue_depth"), 1u);
  // The next packet asks again.
  pair.a.give(numbered(6));
  CHECK(pair.a.reaches("held_total", 6));
  CHECK_EQ(pair.a.count("event_queue_depth"), 2u);
  pair.open();
  CHECK(take(pair.b, std::chrono::seconds(3)) == 6u);
  passed("events travel along");
}

/// The favourite's socket is handed over too, with what waits in it.
void favouriteStays() {
  Offloads withoutGro = kPlain;
  withoutGro.gro = false;
  TwoPlanes pair(1500, kPlain, withoutGro);
  pair.open();
  std::uint32_t number = 0;
  const auto burst = [&](std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; i++) pair.a.give(numbered(number + i));
  };
  const auto arrive = [&](std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; i++) CHECK(take(pair.b, std::chrono::seconds(3)) == number + i);
    number += count;
  };
  for (int round = 0; round < 5000 && pair.b.count("peer_sockets_total") == 0; round++) {
    burst(200);
    arrive(200);
  }
  CHECK_EQ(pair.b.count("peer_sockets_total"), 1u);
  for (int round = 0; round < 5; round++) {
    Given given = suspend(pair.b);
    CHECK_EQ(given.sockets.size(), 3u);
    pair.b.plane.reset();
    burst(200);
    goOn(pair.b, given);
    arrive(200);
    burst(200);
    arrive(200);
  }
  CHECK_EQ(pair.b.count("peer_sockets_total"), 1u);
  passed("a busy peer keeps its socket");
}

void severalWorkersAndRawSockets() {
  PlaneOptions options;
  options.interface = "hipC";
  options.mtu = 1478;
  options.port = 10502;
  options.workers = 3;
  options.raw = true;
  options.lsiPrefix = {{4, {198, 18}}, 15};
  options.notify = [](void*) {};
  std::string error;
  std::vector<std::string> notes;
  std::unique_ptr<Plane> plane = Plane::open(options, error, notes);
  if (plane == nullptr) fail(error.c_str(), __LINE__, "no plane");
  for (int round = 0; round < 3; round++) {
    const std::size_t before = descriptorsAtRest();
    Suspended suspended;
    CHECK(plane->suspend(suspended).empty());
    plane.reset();
    CHECK_EQ(suspended.tuns.size(), 3u);
    CHECK_EQ(suspended.sockets.size(), 10u);
    Given given{suspended.blob, {}, {}};
    for (Fd& fd : suspended.tuns) given.tuns.push_back(fd.release());
    for (Fd& fd : suspended.sockets) given.sockets.push_back(fd.release());
    // A queue of a device with several is none of a device with one.
    plane = resume(given, error);
    if (plane == nullptr) fail(error.c_str(), __LINE__, "not resumed");
    CHECK_EQ(descriptorsAtRest(), before);
    CHECK(plane->options().workers == 3 && plane->options().raw && plane->options().port == 10502);
  }
  passed("several workers, and raw sockets");
}

/// How long `count` associations take, at best.
void measure(std::size_t count, double most) {
  End a("hipA", kPortA, kLsiA, {});
  Path to;
  to.local = {{4, {127, 0, 0, 1}}, kPortA};
  to.remote = {{4, {127, 0, 0, 1}}, kPortB};
  for (std::uint32_t i = 0; i < count; i++) {
    Hit peer = kHitB;
    store32(peer.bytes.data() + 8, i);
    SaParameters parameters = associationOf(kHitA, peer);
    parameters.spi = 0x10000 + 2 * i;
    parameters.lsiSpi = parameters.spi + 1;
    CHECK(a.plane->addInbound(parameters, to, 0) == Routes::Added::Done);
    CHECK(a.plane->addOutbound(parameters, to) == Routes::Added::Done);
    a.plane->route(peer, Mode::Send, parameters.spi);
    const Lsi lsi{{198, 19, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)}};
    a.plane->alias(lsi, &peer);
  }
  double bestSuspend = 1e9;
  double bestResume = 1e9;
  std::size_t bytes = 0;
  for (int round = 0; round < 7; round++) {
    const auto begin = Clock::now();
    const Given given = suspend(a);
    bestSuspend = std::min(bestSuspend, millisSince(begin));
    bytes = given.blob.size();
    a.plane.reset();
    const auto middle = Clock::now();
    goOn(a, given);
    bestResume = std::min(bestResume, millisSince(middle));
  }
  std::printf("  %zu associations: %zu bytes, suspend %.2f ms, resume %.2f ms\n", count, bytes, bestSuspend,
              bestResume);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(bestResume < most);
#endif
  (void)most;
}

}  // namespace

int main() {
  if (!isolated()) return 0;
  waitsMeanwhile();
  flowsOn(30, "few packets in flight, both ends taken over 12 times: none lost, doubled or overtaken");
  flowsOn(1000, "many packets in flight: the same");
  refusesReplays();
  refusesStrangers();
  ticketDecides();
  eventsTravel();
  favouriteStays();
  severalWorkersAndRawSockets();
  measure(1, 3);
  measure(1000, 20);
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // the leak checker looks into its own process
}
