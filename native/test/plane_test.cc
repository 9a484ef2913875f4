// Two whole planes in one process and one network namespace, with real TUN devices and sockets: packets go in at one
// device and come out at the other while the control plane changes everything around them. Skipped where namespaces are
// not allowed.
#include "plane.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "check.h"
#include "namespace.h"
#include "packets.h"

using namespace hipd;

namespace {

using Clock = std::chrono::steady_clock;

constexpr Lsi kLsiA{{198, 18, 0, 1}};
constexpr Lsi kLsiB{{198, 18, 0, 2}};

Hit hit(std::uint8_t last) {
  return {{0x20, 0x01, 0x00, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}};
}

const Hit kHitA = hit(0xa);
const Hit kHitB = hit(0xb);

struct End {
  std::atomic<int> wakes{0};
  std::unique_ptr<Plane> plane;
  Fd packets;  // AF_PACKET on the TUN device: plays the kernel that routes into it and out of it

  End(const char* name, std::uint16_t port, const Lsi& lsi, std::size_t workers) {
    PlaneOptions options;
    options.interface = name;
    options.mtu = 1478;
    options.port = port;
    options.workers = workers;
    options.ownLsi = lsi;
    options.lsiPrefix = {{4, {198, 18}}, 15};
    options.notify = [](void* end) { static_cast<End*>(end)->wakes++; };
    options.context = this;
    std::string error;
    std::vector<std::string> notes;
    plane = Plane::open(options, error, notes);
    if (plane == nullptr) std::fprintf(stderr, "%s\n", error.c_str());
    CHECK(plane != nullptr);
    CHECK(netlink::setLink(name, {}).empty());
    packets = Fd(socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_IPV6)));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_IPV6);
    address.sll_ifindex = static_cast<int>(if_nametoindex(name));
    CHECK(bind(packets.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
};

Path path(std::uint16_t from, std::uint16_t to) {
  Path result;
  result.local = {{4, {127, 0, 0, 1}}, from};
  result.remote = {{4, {127, 0, 0, 1}}, to};
  return result;
}

SaParameters sa(std::uint32_t spi, const Hit& local, const Hit& peer) {
  static std::array<std::uint8_t, 20> key;
  store32(key.data(), spi);
  SaParameters parameters;
  parameters.spi = spi;
  parameters.encryptionKey = key;
  parameters.localHit = local;
  parameters.peerHit = peer;
  return parameters;
}

/// An SA from A to B on both sides.
void addSa(End& a, End& b, std::uint32_t spi) {
  CHECK(b.plane->addInbound(sa(spi, kHitB, kHitA), path(10501, 10500), 0) == Routes::Added::Done);
  CHECK(a.plane->addOutbound(sa(spi, kHitA, kHitB), path(10500, 10501)) == Routes::Added::Done);
}

/// UDP from A to B that carries a number in its checksum and data; `size` is the whole packet's.
std::vector<std::uint8_t> numbered(std::uint32_t number, std::size_t size) {
  std::vector<std::uint8_t> packet(size);
  test::putIpv6(packet.data(), kHitA, kHitB, proto::kUdp, size - 40);
  test::putUdp(Bytes(packet).subspan(40), 1000);
  for (std::size_t i = 46; i < size; i++) packet[i] = static_cast<std::uint8_t>(number + i);
  store32(packet.data() + 48, number);
  return packet;
}

std::size_t sizeOf(std::uint32_t number) {
  return 64 + (number * 37) % 1400;
}

/// The next packet for B that came out, its number checked against its content. -1 when there is none for `patience`.
std::int64_t next(End& end, std::chrono::microseconds patience) {
  std::array<std::uint8_t, 2048> buffer;
  const auto until = Clock::now() + patience;
  do {
    sockaddr_ll from{};
    socklen_t length = sizeof from;
    const ssize_t got =
        recvfrom(end.packets.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0) {
      std::this_thread::yield();
      continue;
    }
    if (got < 52 || buffer[6] != proto::kUdp || from.sll_pkttype == PACKET_OUTGOING) continue;
    const std::uint32_t number = load32(buffer.data() + 48);
    const std::vector<std::uint8_t> expected = numbered(number, sizeOf(number));
    CHECK_EQ(static_cast<std::size_t>(got), expected.size());
    CHECK(std::equal(expected.begin(), expected.end(), buffer.begin()));
    return number;
  } while (Clock::now() < until);
  return -1;
}

/// How far the traffic is: packets that went in, and that came out.
struct Progress {
  std::atomic<std::uint32_t> sent{0};
  std::atomic<std::uint32_t> received{0};
  std::atomic<bool> stop{false};
};

/// The control plane's life: holding, rekeying, moving, strangers. Ends with the route to B in use.
void churn(End& a, End& b, const Progress& progress, int& rounds) {
  std::uint32_t spi = 0x10000;
  std::vector<std::uint8_t> records(kMaxEventRecord);
  while (!progress.stop.load() || rounds < 3) {
    const std::uint32_t old = spi++;
    addSa(a, b, spi);
    a.plane->route(kHitB, Mode::Demand, 0);
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    a.plane->route(kHitB, Mode::Send, spi);
    a.plane->setPath(spi, &kHitB, path(10500, 10501), true);
    b.plane->alias(kLsiA, &kHitA);
    a.plane->alias(kLsiB, (spi & 1) != 0 ? &kHitB : nullptr);
    // What was sealed under the old SA arrives before the far end drops it, as the protocol sees to.
    const std::uint32_t mark = progress.sent.load() + 1;  // one may be on its way uncounted
    while (progress.received.load() < mark && !progress.stop.load())
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    a.plane->dropSa(old, false, kHitB);
    b.plane->dropSa(old, true, kHitA);
    for (std::uint8_t i = 0; i < 20; i++) {
      const Hit stranger = hit(static_cast<std::uint8_t>(100 + i));
      CHECK(a.plane->addInbound(sa(0x1000u + i, kHitA, stranger), path(10500, 9), 30) == Routes::Added::Done);
      CHECK(a.plane->addOutbound(sa(0x1000u + i, kHitA, stranger), path(10500, 9)) == Routes::Added::Done);
      a.plane->route(stranger, Mode::Send, 0x1000u + i);
      a.plane->route(stranger, Mode::Unknown, 0);
      a.plane->dropSa(0x1000u + i, true, stranger);
      a.plane->dropSa(0x1000u + i, false, stranger);
    }
    a.plane->ping(kHitA, kHitB, spi, 64);
    a.plane->associations();
    a.plane->counters();
    a.plane->drain(records, 100);
    b.plane->drain(records, 100);
    rounds++;
  }
}

/// Says what both planes counted, and fails.
[[noreturn]] void fail(const char* what, const End& a, const End& b) {
  std::fprintf(stderr, "%s\n", what);
  for (const End* end : {&a, &b}) {
    for (const Counter& counter : end->plane->counters()) {
      if (counter.value != 0)
        std::fprintf(stderr, "  %s %s %lu\n", end == &a ? "a" : "b", counter.name.c_str(), counter.value);
    }
  }
  std::quick_exit(1);
}

void carriesEverythingThroughChanges(std::size_t workers) {
  End a("hipA", 10500, kLsiA, workers);
  End b("hipB", 10501, kLsiB, workers);
  addSa(a, b, 0x10000);
  a.plane->route(kHitB, Mode::Send, 0x10000);
  Progress progress;
  int rounds = 0;
  std::thread control([&] { churn(a, b, progress, rounds); });

  // Fewer on the way than a peer's held packets may be: nothing needs to be lost. Sent at a pace, so that some come at
  // the very moment at which held ones are released.
  constexpr std::uint32_t kWindow = 60;
  constexpr std::uint32_t kPackets = 8000;
  constexpr std::chrono::microseconds kPace(10);
  std::vector<bool> seen(kPackets);
  auto lastSeen = Clock::now();
  while (progress.received < kPackets) {
    const std::uint32_t number = progress.sent;
    if (number < kPackets && number < progress.received + kWindow) {
      const std::vector<std::uint8_t> packet = numbered(number, sizeOf(number));
      if (send(a.packets.get(), packet.data(), packet.size(), 0) >= 0) progress.sent++;
    }
    const std::int64_t came = next(b, kPace);
    if (came < 0) {
      if (Clock::now() > lastSeen + std::chrono::seconds(10)) fail("a packet was lost", a, b);
      continue;
    }
    lastSeen = Clock::now();
    if (workers == 1 && came != progress.received) fail("packets were lost or came in another order", a, b);
    CHECK(!seen[static_cast<std::size_t>(came)]);
    seen[static_cast<std::size_t>(came)] = true;
    progress.received++;
  }
  progress.stop.store(true);
  control.join();
  CHECK(rounds >= 3);
  CHECK(a.wakes.load() > 0);
}

/// Everything may end in the middle of traffic.
void closesUnderLoad() {
  for (int i = 0; i < 3; i++) {
    End a("hipA", 10500, kLsiA, 2);
    End b("hipB", 10501, kLsiB, 1);
    addSa(a, b, 0x10000);
    a.plane->route(kHitB, Mode::Demand, 0);
    for (std::uint32_t n = 0; n < 200; n++) {
      const std::vector<std::uint8_t> packet = numbered(n, sizeOf(n));
      (void)send(a.packets.get(), packet.data(), packet.size(), 0);
      if (n == 50) a.plane->route(kHitB, Mode::Send, 0x10000);
    }
    (i % 2 == 0 ? a : b).plane.reset();
  }
}

}  // namespace

int main() {
  if (!test::isolated()) return 0;
  carriesEverythingThroughChanges(1);
  carriesEverythingThroughChanges(2);
  closesUnderLoad();
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // the leak checker looks into its own process
}
