// Datagrams that came as one message (UDP_GRO), of several SAs and with what does not belong among them: each is judged
// as if it had come alone. A real plane, and a peer that is nothing but sealed packets and a socket.
#include <sys/prctl.h>

#include "namespace.h"
#include "sealed.h"

using namespace hipd;
using namespace hipd::test;

namespace {

using Scene = SealedScene;
constexpr Spi kNobodys = 0x30000;
constexpr Endpoint kElsewhere{{4, {127, 0, 0, 9}}, kPortA};

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
  SealingPeer stranger(kHitC, kNobodys);
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
  if (together == 0) std::puts("  skipped: two messages of one batch: this machine was too fast or too slow for it");
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
