// Super-packets through two whole planes with real TUN devices and sockets, in one network namespace: on paths that
// become smaller, past kernels that refuse, held for a peer, split. A packet socket with virtio-net headers plays the
// kernel at both devices. Skipped where namespaces are not allowed.
#include <sys/prctl.h>
#include <unistd.h>

#include <thread>

#include "../segment.h"
#include "namespace.h"
#include "planes.h"

using namespace hipd;
using namespace hipd::test;

namespace {

constexpr std::uint8_t kAck = 0x10;

/// What the local stack hands over for `data` bytes, in segments of `size`.
Octets superPacket(InnerFamily family, std::uint8_t protocol, std::size_t data, std::size_t size,
                   bool mayFragment = false, std::uint32_t sequence = 1) {
  const bool v6 = family == InnerFamily::Hit;
  const std::size_t base = v6 ? 40 : 20;
  const std::size_t transport = protocol == proto::kTcp ? 20 : 8;
  const std::size_t upper = transport + data;
  Octets packet(base + upper);
  if (v6) {
    putIpv6(packet.data(), kHitA, kHitB, protocol, upper);
  } else {
    packet[0] = 0x45;
    store16(packet.data() + 2, static_cast<std::uint32_t>(packet.size()));
    store16(packet.data() + 4, 1000);
    packet[6] = mayFragment ? 0 : 0x40;
    packet[8] = 64;
    packet[9] = protocol;
    std::copy(kLsiA.bytes.begin(), kLsiA.bytes.end(), packet.begin() + 12);
    std::copy(kLsiB.bytes.begin(), kLsiB.bytes.end(), packet.begin() + 16);
    store16(packet.data() + 10, checksumOf(slowSum(View(packet).first(20))));
  }
  std::uint8_t* const p = packet.data() + base;
  store16(p, 1000);
  store16(p + 2, 2000);
  if (protocol == proto::kTcp) {
    store32(p + 4, sequence);
    p[12] = 0x50;
    p[13] = kAck;
  } else {
    store16(p + 4, static_cast<std::uint32_t>(upper));
  }
  const std::uint16_t addresses = v6 ? sumAddresses(kHitA, kHitB) : sumAddresses(kLsiA, kLsiB);
  store16(p + (protocol == proto::kTcp ? 16 : 6), foldSum(addresses + sumPseudo(protocol, upper)));
  for (std::size_t i = 0; i < data; i++) p[transport + i] = static_cast<std::uint8_t>(sequence + i * 7 + i / 256);
  VirtioHeader header;
  header.flags = virtio::kNeedsChecksum;
  header.gsoType = protocol == proto::kUdp ? virtio::kGsoUdp : v6 ? virtio::kGsoTcp6 : virtio::kGsoTcp4;
  header.headerLength = static_cast<std::uint16_t>(base + transport);
  header.gsoSize = static_cast<std::uint16_t>(size);
  header.checksumStart = static_cast<std::uint16_t>(base);
  header.checksumOffset = protocol == proto::kTcp ? 16 : 6;
  Octets all(sizeof header + packet.size());
  std::memcpy(all.data(), &header, sizeof header);
  std::copy(packet.begin(), packet.end(), all.begin() + sizeof header);
  return all;
}

/// The transport headers and data of all segments of a packet with its header. gso_test knows that this is right.
std::vector<Octets> uppersOf(const Octets& all) {
  VirtioHeader header;
  std::memcpy(&header, all.data(), sizeof header);
  PacketBuffer buffer(View(all).subspan(sizeof header));
  InnerView view;
  CHECK_VERDICT(parseInner(buffer.frame.view(), view), Ok);
  Super super;
  CHECK_VERDICT(settleOffload(header, buffer.frame.bytes(), view, super), Ok);
  const View packet = buffer.frame.view();
  std::vector<Octets> uppers;
  if (super.count == 0) {
    CHECK(view.fragment || checksumsRight(packet));
    uppers.emplace_back(packet.begin() + view.upperOffset, packet.end());
    return uppers;
  }
  const bool v6 = view.family == InnerFamily::Hit;
  Segmenter segmenter(buffer.frame.bytes(), super, v6 ? sumAddresses(kHitA, kHitB) : sumAddresses(kLsiA, kLsiB),
                      v6 ? Segmenter::Base::Ipv6 : Segmenter::Base::Ipv4);
  for (Bytes segment; segmenter.next(segment);) {
    CHECK(checksumsRight(segment));
    uppers.emplace_back(segment.begin() + view.upperOffset, segment.end());
  }
  return uppers;
}

/// Takes packets until `count` upper layers are whole, fragments put together.
std::vector<Octets> arrivals(const End& end, std::size_t count, std::size_t* packets = nullptr) {
  std::vector<Octets> uppers;
  Octets parts;
  while (uppers.size() < count) {
    const Octets all = end.take();
    if (all.empty()) break;
    if (packets != nullptr) ++*packets;
    InnerView view;
    CHECK_VERDICT(parseInner(View(all).subspan(sizeof(VirtioHeader)), view), Ok);
    for (Octets& one : uppersOf(all)) {
      if (!view.fragment) {
        uppers.push_back(std::move(one));
        continue;
      }
      CHECK_EQ(std::size_t{view.fragmentOffset}, parts.size());
      parts.insert(parts.end(), one.begin(), one.end());
      if (!view.moreFragments) uppers.push_back(std::exchange(parts, {}));
    }
  }
  return uppers;
}

void checkSame(const std::vector<Octets>& is, const std::vector<Octets>& wanted) {
  CHECK_EQ(is.size(), wanted.size());
  for (std::size_t i = 0; i < is.size(); i++) CHECK_BYTES(is[i], wanted[i]);
}

constexpr InnerFamily kFamilies[] = {InnerFamily::Hit, InnerFamily::Lsi};
constexpr std::uint8_t kProtocols[] = {proto::kTcp, proto::kUdp};

void arriveAsTheyLeft(const Offloads& offloadsA, const Offloads& offloadsB, const char* name) {
  TwoPlanes pair(1500, offloadsA, offloadsB);
  pair.open();
  for (const InnerFamily family : kFamilies) {
    for (const std::uint8_t protocol : kProtocols) {
      const Octets packet = superPacket(family, protocol, 30'500, 1400);
      pair.a.give(packet);
      std::size_t writes = 0;
      checkSame(arrivals(pair.b, 22, &writes), uppersOf(packet));
      const bool joins = protocol == proto::kTcp ? pair.b.plane->offloads().tso : pair.b.plane->offloads().uso;
      if (!joins) CHECK_EQ(writes, 22u);
    }
  }
  // Where everything is on, nothing was handled piece by piece.
  const bool all = offloadsA.tso && offloadsA.uso && offloadsA.gso && offloadsB.tso && offloadsB.uso && offloadsB.gro;
  if (all && pair.a.plane->offloads().uso && pair.b.plane->offloads().gro) {
    CHECK_EQ(pair.a.count("tun_super_reads_total"), 4u);
    CHECK(pair.b.count("tun_super_writes_total") <= 8);
    CHECK(pair.a.count("messages_sent_total") <= 8);
  }
  if (!offloadsA.tso) CHECK_EQ(pair.a.count("tun_super_reads_total"), 0u);
  if (!offloadsA.gso) CHECK_EQ(pair.a.count("messages_sent_total"), pair.a.count("esp_tx_packets_total"));
  passed(name);
}

/// Nothing is lost or overtaken when a busy peer gets a socket of its own, nor behind it.
void busyPeer(bool gro) {
  Offloads offloads;
  offloads.gro = gro;
  TwoPlanes pair(1500, {}, offloads);
  pair.open();
  // Whatever overtakes another packet is seen by its sequence numbers.
  std::vector<Octets> packets;
  std::vector<Octets> wanted;
  for (std::uint32_t i = 0; i < 16; i++) {
    packets.push_back(superPacket(InnerFamily::Hit, proto::kTcp, 60'200, 1400, false, 1 + i * 60'200));
    for (Octets& one : uppersOf(packets.back())) wanted.push_back(std::move(one));
  }
  int after = 0;
  for (int round = 0; round < 2000 && after < 10; round++) {
    std::vector<Octets> came;
    for (std::size_t i = 0; i < packets.size(); i++) {
      pair.a.give(packets[i]);
      // No more than what small buffers hold.
      if (i % 4 != 3) continue;
      for (Octets& one : arrivals(pair.b, 4 * wanted.size() / packets.size())) came.push_back(std::move(one));
    }
    checkSame(came, wanted);
    if (pair.b.count("peer_sockets_total") > 0) after++;
  }
  CHECK_EQ(pair.b.count("peer_sockets_total"), 1u);
  CHECK_EQ(pair.b.count("drop_esp_replay_total"), 0u);
  passed(gro ? "a busy peer gets a socket of its own" : "a busy peer gets a socket of its own, without GRO");
}

/// Super-packets for a peer whose exchange is under way are cut for the queue, and leave in order.
void heldAndReleased() {
  TwoPlanes pair(1500);
  pair.a.plane->route(kHitB, Mode::Demand, 0);
  std::vector<Octets> wanted;
  for (const InnerFamily family : kFamilies) {
    for (const std::uint8_t protocol : kProtocols) {
      const Octets packet = superPacket(family, protocol, 7300, 1400);
      for (Octets& one : uppersOf(packet)) wanted.push_back(std::move(one));
      pair.a.give(packet);
      const auto until = Clock::now() + std::chrono::seconds(3);
      while (pair.a.count("held_total") < wanted.size() && Clock::now() < until) std::this_thread::yield();
      CHECK_EQ(pair.a.count("held_total"), wanted.size());
    }
  }
  pair.open();
  checkSame(arrivals(pair.b, wanted.size()), wanted);
  passed("held super-packets leave whole and in order");
}

/// Segments that no longer fit: those that may be split are, the others' sender is told what fits, once.
void splitOrTold() {
  // 1280 leave an inner IPv6 packet 1258 bytes, which is less than every IPv6 path has (RFC 8200 5).
  TwoPlanes pair(1280);
  pair.open();
  const Octets six = superPacket(InnerFamily::Hit, proto::kTcp, 6000, 1220);
  pair.a.give(six);
  checkSame(arrivals(pair.b, uppersOf(six).size()), uppersOf(six));
  const Octets four = superPacket(InnerFamily::Lsi, proto::kUdp, 6000, 1400, true);
  pair.a.give(four);
  checkSame(arrivals(pair.b, uppersOf(four).size()), uppersOf(four));
  // TCP cannot be split against its will.
  pair.a.give(superPacket(InnerFamily::Lsi, proto::kTcp, 6000, 1400));
  const Octets answer = pair.a.take();
  CHECK(answer.size() > sizeof(VirtioHeader) + 28);
  const std::uint8_t* const icmp = answer.data() + sizeof(VirtioHeader) + 20;
  CHECK_EQ(icmp[0], 3);
  CHECK_EQ(icmp[1], 4);
  CHECK_EQ(load16(icmp + 6), 1238);
  // The answer is written before it is counted.
  CHECK(pair.a.reaches("drop_too_big_total", 5));
  pair.a.give(superPacket(InnerFamily::Hit, proto::kTcp, 6000, 1400));
  const Octets tooBig = pair.a.take();
  CHECK(tooBig.size() > sizeof(VirtioHeader) + 48);
  CHECK_EQ(tooBig[sizeof(VirtioHeader) + 40], 2);
  CHECK_EQ(load32(tooBig.data() + sizeof(VirtioHeader) + 44), 1280u);
  CHECK(pair.a.take(std::chrono::milliseconds(50)).empty());
  passed("segments that do not fit are split, or their sender is told");
}

/// The path shrinks under messages of the old size: their sender is told once, the short last segment leaves, and what
/// is cut to the new size arrives.
void pathShrinks() {
  for (const InnerFamily family : kFamilies) {
    TwoPlanes pair(1500);
    pair.open();
    const Octets before = superPacket(family, proto::kTcp, 14'000, 1400);
    pair.a.give(before);
    checkSame(arrivals(pair.b, 10), uppersOf(before));
    setLoopback(1400);
    const Octets shrunk = superPacket(family, proto::kTcp, 14'600, 1400);
    pair.a.give(shrunk);
    const Octets answer = pair.a.take();
    CHECK(!answer.empty());
    const std::uint8_t* const icmp = answer.data() + sizeof(VirtioHeader) + (family == InnerFamily::Hit ? 40 : 20);
    const std::uint32_t said = family == InnerFamily::Hit ? load32(icmp + 4) : load16(icmp + 6);
    CHECK_EQ(said, family == InnerFamily::Hit ? 1378u : 1358u);
    CHECK_EQ(pair.a.plane->associations()[0].pathMtu, 1400u);
    CHECK(pair.a.take(std::chrono::milliseconds(50)).empty());
    checkSame(arrivals(pair.b, 1), {uppersOf(shrunk).back()});
    CHECK_EQ(pair.a.count("drop_too_big_total"), 10u);
    const Octets after = superPacket(family, proto::kTcp, 13'000, 1300);
    pair.a.give(after);
    checkSame(arrivals(pair.b, 10), uppersOf(after));
    CHECK_EQ(pair.a.count("messages_divided_total"), 0u);
  }
  passed("a path that shrinks is followed");
}

/// The plane's own UDP socket: a kernel that refuses segmentation is made by forbidding checksums on it.
int socketOn(std::uint16_t port) {
  for (int fd = 3; fd < 1024; fd++) {
    SocketAddress own;
    own.length = sizeof own.v6;
    if (getsockname(fd, &own.any, &own.length) != 0 || own.any.sa_family != AF_INET) continue;
    if (own.endpoint().port == port) return fd;
  }
  fail("socket", __LINE__, "not found");
}

void refusedByTheKernel() {
  TwoPlanes pair(1500);
  pair.open();
  const int on = 1;
  CHECK(setsockopt(socketOn(kPortA), SOL_SOCKET, SO_NO_CHECK, &on, sizeof on) == 0);
  for (int round = 0; round < 3; round++) {
    const Octets packet = superPacket(InnerFamily::Hit, proto::kTcp, 30'500, 1400);
    pair.a.give(packet);
    checkSame(arrivals(pair.b, 22), uppersOf(packet));
  }
  CHECK_EQ(pair.a.count("messages_divided_total"), 1u);
  CHECK_EQ(pair.a.count("drop_send_failed_total"), 0u);
  const std::string& told = pair.a.told();
  CHECK(told.find("offload gso") != std::string::npos);
  CHECK(told.find("offload gso") == told.rfind("offload gso"));
  passed("a kernel that refuses messages of many is asked no more, and that is said once");
}

}  // namespace

int main() {
  if (!isolated()) return 0;
  const Offloads all;
  arriveAsTheyLeft(all, all, "all offloads");
  arriveAsTheyLeft({false, false, true, true}, all, "super-packets only at the receiver");
  arriveAsTheyLeft(all, {false, false, true, true}, "super-packets only at the sender");
  arriveAsTheyLeft({true, false, true, true}, all, "a sender without USO");
  arriveAsTheyLeft(all, {true, false, true, true}, "a receiver without USO");
  arriveAsTheyLeft({true, true, false, true}, all, "a sender without GSO");
  arriveAsTheyLeft(all, {true, true, true, false}, "a receiver without GRO");
  arriveAsTheyLeft({false, false, false, false}, {false, false, false, false}, "no offloads");
  busyPeer(true);
  busyPeer(false);
  heldAndReleased();
  splitOrTold();
  pathShrinks();
  refusedByTheKernel();
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // the leak checker looks into its own process
}
