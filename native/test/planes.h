// Two whole planes in one network namespace, each with a packet socket that plays the kernel at its TUN device: with
// virtio-net headers, so that super-packets go in and come out.
#pragma once

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "../netlink.h"
#include "../plane.h"
#include "../virtio.h"
#include "packets.h"

namespace hipd::test {

using Clock = std::chrono::steady_clock;

inline constexpr Lsi kLsiA{{198, 18, 0, 1}};
inline constexpr Lsi kLsiB{{198, 18, 0, 2}};
inline constexpr Hit kHitA{{0x20, 0x01, 0x00, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa}};
inline constexpr Hit kHitB{{0x20, 0x01, 0x00, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb}};
inline constexpr std::uint16_t kPortA = 10500;
inline constexpr std::uint16_t kPortB = 10501;
inline constexpr Spi kSpi = 0x10000;

inline void setLoopback(std::uint32_t mtu) {
  netlink::LinkChange change;
  change.mtu = mtu;
  CHECK(netlink::setLink("lo", change).empty());
}

/// One plane and its device.
struct End {
  std::unique_ptr<Plane> plane;
  std::string notes;
  Fd six;
  Fd four;

  End(const char* name, std::uint16_t port, const Lsi& lsi, const Offloads& offloads) {
    PlaneOptions options;
    options.interface = name;
    options.mtu = 1478;
    options.port = port;
    options.ownLsi = lsi;
    options.lsiPrefix = {{4, {198, 18}}, 15};
    options.offloads = offloads;
    options.notify = [](void*) {};
    std::string error;
    std::vector<std::string> lines;
    plane = Plane::open(options, error, lines);
    if (plane == nullptr) fail(error.c_str(), __LINE__, "no plane");
    CHECK(netlink::setLink(name, {}).empty());
    six = tap(name, ETH_P_IPV6);
    four = tap(name, ETH_P_IP);
  }

  static Fd tap(const char* name, std::uint16_t protocol) {
    Fd fd(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(protocol)));
    const int on = 1;
    CHECK(setsockopt(fd.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) == 0);
    const int room = 8 << 20;
    (void)setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(protocol);
    address.sll_ifindex = static_cast<int>(if_nametoindex(name));
    CHECK(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    return fd;
  }

  void give(const Octets& packet) const {
    const bool v6 = (packet[sizeof(VirtioHeader)] >> 4) == 6;
    CHECK_EQ(::send((v6 ? six : four).get(), packet.data(), packet.size(), 0), static_cast<ssize_t>(packet.size()));
  }

  /// The next packet that the plane wrote to its device, with its header. Empty when none comes.
  Octets take(std::chrono::milliseconds patience = std::chrono::milliseconds(3000)) const {
    Octets buffer(70'000);
    const auto until = Clock::now() + patience;
    for (;;) {
      std::array<pollfd, 2> both{{{six.get(), POLLIN, 0}, {four.get(), POLLIN, 0}}};
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
      if (left <= 0 || poll(both.data(), both.size(), static_cast<int>(left)) <= 0) return {};
      const int fd = both[0].revents != 0 ? six.get() : four.get();
      sockaddr_ll from{};
      socklen_t length = sizeof from;
      const ssize_t got = recvfrom(fd, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (got < static_cast<ssize_t>(sizeof(VirtioHeader) + 20) || from.sll_pkttype == PACKET_OUTGOING) continue;
      return {buffer.begin(), buffer.begin() + got};
    }
  }

  std::uint64_t count(const std::string& name) const {
    for (const Counter& counter : plane->counters()) {
      if (counter.name == name) return counter.value;
    }
    fail(name.c_str(), __LINE__, "no such counter");
  }

  /// Waits until a counter has a value.
  bool reaches(const std::string& name, std::uint64_t value) const {
    const auto until = Clock::now() + std::chrono::seconds(3);
    while (count(name) != value && Clock::now() < until) std::this_thread::yield();
    return count(name) == value;
  }

  /// Calls `see` with the type and the record of each event until now.
  template <class See>
  void drainEvents(See&& see) const {
    std::vector<std::uint8_t> records(kMaxEventRecord);
    while (const std::size_t length = plane->drain(records, 100)) {
      for (std::size_t at = 0; at < length;) {
        std::uint32_t size = 0;
        std::memcpy(&size, records.data() + at, sizeof size);
        see(static_cast<EventType>(records[at + 4]), records.data() + at);
        at += size;
      }
    }
  }

  /// Everything that the plane told the administrator.
  const std::string& told() {
    drainEvents([&](EventType type, const std::uint8_t* record) {
      if (type != EventType::Note) return;
      std::uint32_t text = 0;
      std::memcpy(&text, record + 20, sizeof text);
      notes.append(reinterpret_cast<const char*>(record + kEventRecord), text);
    });
    return notes;
  }
};

inline SaParameters associationOf(const Hit& local, const Hit& peer) {
  static constexpr std::array<std::uint8_t, 20> key{1, 2, 3};
  SaParameters parameters;
  parameters.spi = kSpi;
  parameters.lsiSpi = kSpi + 1;
  parameters.encryptionKey = key;
  parameters.localHit = local;
  parameters.peerHit = peer;
  return parameters;
}

inline Path loopbackPath(std::uint16_t local, std::uint16_t remote) {
  Path path;
  path.local = {{4, {127, 0, 0, 1}}, local};
  path.remote = {{4, {127, 0, 0, 1}}, remote};
  return path;
}

/// Two planes, an SA from A to B, and the loopback device with an MTU.
struct TwoPlanes {
  End a;
  End b;

  explicit TwoPlanes(std::uint32_t mtu, const Offloads& offloadsA = {}, const Offloads& offloadsB = {})
      : a((setLoopback(mtu), "hipA"), kPortA, kLsiA, offloadsA), b("hipB", kPortB, kLsiB, offloadsB) {
    const Path toA = loopbackPath(kPortB, kPortA);
    CHECK(b.plane->addInbound(associationOf(kHitB, kHitA), toA, 0) == Routes::Added::Done);
    CHECK(a.plane->addOutbound(associationOf(kHitA, kHitB), loopbackPath(kPortA, kPortB)) == Routes::Added::Done);
    a.plane->alias(kLsiB, &kHitB);
    b.plane->alias(kLsiA, &kHitA);
  }
  void open() { a.plane->route(kHitB, Mode::Send, kSpi); }
};

}  // namespace hipd::test
