// A real plane whose peers are nothing but sealed packets and sockets: whatever a peer may send, in any order.
#pragma once

#include <netinet/udp.h>

#include "../esp.h"
#include "planes.h"

namespace hipd::test {

inline constexpr Hit kHitC{{0x20, 0x01, 0x00, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc}};
inline constexpr Spi kSpiC = 0x20000;
inline constexpr std::size_t kData = 1000;

/// Seals by hand.
class SealingPeer {
 public:
  SealingPeer(const Hit& hit, Spi spi) : hit_(hit), spi_(spi), sa_(OutboundSa::make(parameters())) {}

  SaParameters parameters(bool inbound = false) const {
    SaParameters result = inbound ? associationOf(kHitB, hit_) : associationOf(hit_, kHitB);
    result.spi = spi_;
    result.lsiSpi = spi_ + 1;
    return result;
  }

  /// An ESP packet with a UDP datagram from port `from`, or what `nextHeader` names.
  Octets packet(std::uint16_t from, std::uint8_t nextHeader = proto::kUdp) {
    Octets upper(8 + kData, static_cast<std::uint8_t>(from));
    putWholeUdp(upper, from, hit_, kHitB);
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
  /// TOS of what it sends from now on.
  void setClass(int trafficClass) const {
    CHECK(setsockopt(fd_.get(), IPPROTO_IP, IP_TOS, &trafficClass, sizeof trafficClass) == 0);
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

/// A plane with an inbound SA of each peer.
struct SealedScene {
  End b;
  SealingPeer a{kHitA, kSpi};
  SealingPeer c{kHitC, kSpiC};

  SealedScene() : b((setLoopback(65'535), "hipB"), kPortB, kLsiB, Offloads{}) {
    CHECK(b.plane->addInbound(a.parameters(true), loopbackPath(kPortB, kPortA), 0) == Routes::Added::Done);
    CHECK(b.plane->addInbound(c.parameters(true), loopbackPath(kPortB, kPortA), 0) == Routes::Added::Done);
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
    b.drainEvents([&](EventType one, const std::uint8_t*) { count += one == type ? 1U : 0U; });
    return count;
  }
};

}  // namespace hipd::test
