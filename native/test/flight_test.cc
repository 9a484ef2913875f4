// Datagrams that came as one message (UDP_GRO), of several SAs and with what does not belong among them: each is judged
// as if it had come alone. A real plane, and a peer that is nothing but sealed packets and a socket.
#include <netinet/udp.h>
#include <sys/prctl.h>

#include "../esp.h"
#include "namespace.h"
#include "planes.h"

using namespace hipd;
using namespace hipd::test;

namespace {

constexpr Hit kHitC{{0x20, 0x01, 0x00, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc}};
constexpr Spi kSpiC = 0x20000;
constexpr Spi kNobodys = 0x30000;
constexpr std::size_t kData = 1000;
constexpr Endpoint kElsewhere{{4, {127, 0, 0, 9}}, kPortA};

/// A sender that seals by hand.
class Peer {
 public:
  Peer(const Hit& hit, Spi spi) : hit_(hit), spi_(spi), sa_(OutboundSa::make(parameters())) {}

  SaParameters parameters(bool inbound = false) const {
    SaParameters result = inbound ? associationOf(kHitB, hit_) : associationOf(hit_, kHitB);
    result.spi = spi_;
    result.lsiSpi = spi_ + 1;
    return result;
  }

  /// An ESP packet with a UDP datagram from port `from`, or what `nextHeader` names.
  Octets packet(std::uint16_t from, std::uint8_t nextHeader = proto::kUdp) {
    Octets upper(8 + kData, static_cast<std::uint8_t>(from));
    store16(upper.data(), from);
    store16(upper.data() + 2, 2000);
    store16(upper.data() + 4, static_cast<std::uint32_t>(upper.size()));
    store16(upper.data() + 6, 0);
    const std::uint16_t pseudo = foldSum(sumAddresses(hit_, kHitB) + sumPseudo(proto::kUdp, upper.size()));
    store16(upper.data() + 6, checksumOf(sumBytes(upper, pseudo)));
    Octets sealed(esp::sealedLength(sa_->shape(), upper.size()));
    const View piece(upper);
    esp::Sealed result;
    CHECK_VERDICT(esp::seal(cache_, *sa_, spi_, nextHeader, {&piece, 1}, sealed, result), Ok);
    return sealed;
  }

 private:
  Hit hit_;
  Spi spi_;
  std::unique_ptr<OutboundSa> sa_;
  CipherCache cache_;
};

/// Sends from an address of its own; datagrams of one length leave as one message.
class Sender {
 public:
  explicit Sender(const Endpoint& from = {{4, {127, 0, 0, 1}}, kPortA})
      : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const SocketAddress own(from);
    CHECK(bind(fd_.get(), &own.any, own.length) == 0);
  }
  void send(const std::vector<Octets>& datagrams) const {
    const int size = static_cast<int>(datagrams[0].size());
    CHECK(setsockopt(fd_.get(), SOL_UDP, UDP_SEGMENT, &size, sizeof size) == 0);
    Octets all;
    for (const Octets& one : datagrams) all.insert(all.end(), one.begin(), one.end());
    const SocketAddress to(Endpoint{{4, {127, 0, 0, 1}}, kPortB});
    CHECK_EQ(sendto(fd_.get(), all.data(), all.size(), 0, &to.any, to.length), static_cast<ssize_t>(all.size()));
  }

 private:
  Fd fd_;
};

struct Scene {
  End b;
  Peer a{kHitA, kSpi};
  Peer c{kHitC, kSpiC};

  Scene() : b((setLoopback(65'535), "hipB"), kPortB, kLsiB, Offloads{}) {
    CHECK(b.plane->addInbound(a.parameters(true), path(), 0) == Routes::Added::Done);
    CHECK(b.plane->addInbound(c.parameters(true), path(), 0) == Routes::Added::Done);
  }
  static Path path() {
    Path from;
    from.local = {{4, {127, 0, 0, 1}}, kPortB};
    from.remote = {{4, {127, 0, 0, 1}}, kPortA};
    return from;
  }
  AssociationStats of(const Hit& peer) const {
    for (const AssociationStats& one : b.plane->associations()) {
      if (one.peer == peer) return one;
    }
    fail("association", __LINE__, "not found");
  }
  /// How many events of a type there are until now.
  std::size_t events(EventType type) const {
    std::size_t count = 0;
    Octets records(kMaxEventRecord);
    while (const std::size_t length = b.plane->drain(records, 100)) {
      for (std::size_t at = 0; at < length;) {
        std::uint32_t size = 0;
        std::memcpy(&size, records.data() + at, sizeof size);
        if (records[at + 4] == static_cast<std::uint8_t>(type)) count++;
        at += size;
      }
    }
    return count;
  }
};

/// Bytes of datagrams that the application of port 2000 gets from a port.
std::size_t arrivedFrom(const End& end, std::uint16_t port, std::size_t datagrams) {
  std::size_t bytes = 0;
  while (bytes < datagrams * kData) {
    const Octets all = end.take();
    if (all.empty()) break;
    const std::uint8_t* const udp = all.data() + sizeof(VirtioHeader) + 40;
    CHECK_EQ(load16(udp), port);
    bytes += all.size() - sizeof(VirtioHeader) - 48;
  }
  return bytes;
}

void severalSasInOneMessage() {
  Scene scene;
  Peer stranger(kHitC, kNobodys);
  const Octets first = scene.a.packet(11);
  Octets forged = scene.a.packet(11);
  forged[200] ^= 1;
  Sender().send({first, scene.c.packet(22), scene.a.packet(11), stranger.packet(33), first, forged, scene.a.packet(11),
                 scene.c.packet(22)});
  CHECK(scene.b.reaches("esp_rx_packets_total", 5));
  CHECK(scene.b.reaches("drop_unknown_spi_total", 1));
  CHECK(scene.b.reaches("drop_esp_replay_total", 1));
  CHECK(scene.b.reaches("drop_esp_auth_total", 1));
  CHECK_EQ(scene.b.count("messages_received_total"), 1u);
  CHECK_EQ(scene.b.count("esp_rx_bytes_total"), 5 * first.size());
  CHECK_EQ(scene.of(kHitA).rxPackets, 3u);
  CHECK_EQ(scene.of(kHitA).rxBytes, 3 * (8 + kData));
  CHECK_EQ(scene.of(kHitC).rxPackets, 2u);
  CHECK_EQ(scene.of(kHitC).rxBytes, 2 * (8 + kData));
  CHECK_EQ(scene.events(EventType::FirstInbound), 2u);
  passed("datagrams of several SAs in one message");
}

/// What is no TCP or UDP goes its own way, and what follows it is counted and shown as before.
void othersInBetween() {
  Scene scene;
  constexpr std::uint8_t kUnassigned = 253;
  Sender().send(
      {scene.a.packet(11), scene.a.packet(11, proto::kNone), scene.a.packet(11, kUnassigned), scene.a.packet(11)});
  CHECK(scene.b.reaches("esp_rx_packets_total", 4));
  CHECK(scene.b.reaches("dummy_total", 1));
  CHECK_EQ(scene.of(kHitA).rxPackets, 4u);
  // Before the packet of another protocol what was collected is written.
  CHECK_EQ(arrivedFrom(scene.b, 11, 1), kData);
  const Octets other = scene.b.take();
  CHECK_EQ(other[sizeof(VirtioHeader) + 6], kUnassigned);
  CHECK_EQ(arrivedFrom(scene.b, 11, 1), kData);
  passed("other protocols in between");
}

/// The path is looked at for each message: one from elsewhere is noticed also right behind one from where the peer is.
void eachMessageHasAPath() {
  const Sender expected;
  const Sender elsewhere(kElsewhere);
  int together = 0;
  for (int round = 0; round < 50 && together < 5; round++) {
    Scene scene;
    // Work for the worker, so that the two that matter wait together.
    std::vector<std::vector<Octets>> before(6);
    for (auto& message : before) {
      for (int i = 0; i < 40; i++) message.push_back(scene.c.packet(22));
    }
    const std::vector<Octets> one{scene.a.packet(11)};
    const std::vector<Octets> other{scene.a.packet(11)};
    for (const auto& message : before) expected.send(message);
    expected.send(one);
    elsewhere.send(other);
    CHECK(scene.b.reaches("esp_rx_packets_total", 6 * 40 + 2));
    CHECK_EQ(scene.events(EventType::Moved), 1u);
    if (scene.b.count("receive_calls_total") < 4) together++;
  }
  passed("each message has its path");
}

}  // namespace

int main() {
  if (!isolated()) return 0;
  severalSasInOneMessage();
  othersInBetween();
  eachMessageHasAPath();
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // the leak checker looks into its own process
}
