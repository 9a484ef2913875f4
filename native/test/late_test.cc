// Packets behind a long backlog carry "congestion experienced" on, where their sender knows ECN: a real plane whose
// worker gets no processor while a socket fills.
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include "../backlog.h"
#include "namespace.h"
#include "sealed.h"

using namespace hipd;
using namespace hipd::test;

namespace {

constexpr int kTogether = 50;
constexpr int kEct0 = 2;

/// As long as there is one, this thread has the processor for itself.
class Precedence {
 public:
  Precedence() { set(SCHED_FIFO, 1); }
  ~Precedence() { set(SCHED_OTHER, 0); }
  Precedence(const Precedence&) = delete;
  Precedence& operator=(const Precedence&) = delete;

 private:
  static void set(int policy, int priority) {
    const sched_param parameter{priority};
    CHECK_EQ(pthread_setschedparam(pthread_self(), policy, &parameter), 0);
  }
};

/// All threads that are made from now on run where this one runs. False where it may not go before them.
bool oneProcessor() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(sched_getcpu()), &one);
  const sched_param first{1};
  const sched_param last{0};
  if (sched_setaffinity(0, sizeof one, &one) != 0) return false;
  if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &first) != 0) return false;
  return pthread_setschedparam(pthread_self(), SCHED_OTHER, &last) == 0;
}

/// Whether sockets may have the buffers that they need: a smaller one loses what is to wait.
bool largeBuffers() {
  const Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int bytes = kSocketBuffer;
  return setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0;
}

constexpr std::size_t kShort = kShortBacklog / 2;
/// A mark comes behind each half MiB, from the fifth MiB on at the latest.
constexpr std::size_t kLong = kLongBacklog + 2 * kMarkEvery;
constexpr std::uint64_t kFewest = 2;
constexpr std::uint64_t kMost = kLong / kMarkEvery;

/// How many datagrams are marked of those that fill a socket, sent in messages of kTogether.
std::uint64_t markedIn(std::size_t bytes, int trafficClass) {
  SealedScene scene;
  const Sender sender;
  sender.setClass(trafficClass);
  std::vector<std::vector<Octets>> messages;
  std::uint64_t packets = 0;
  for (std::size_t sent = 0; sent < bytes; sent += kTogether * kData, packets += kTogether) {
    auto& message = messages.emplace_back();
    for (int i = 0; i < kTogether; i++) message.push_back(scene.a.packet(11));
  }
  {
    const Precedence all;
    for (const auto& message : messages) sender.send(message);
  }
  CHECK(scene.b.reaches("esp_rx_packets_total", packets));
  return scene.b.count("marked_late_total");
}

/// The device's queue has room for 4096 packets.
constexpr std::size_t kLarge = 1400;

/// What the local stack hands over: a UDP datagram, with an empty virtio header.
Octets datagram(std::uint8_t trafficClass) {
  constexpr std::size_t kHeader = sizeof(VirtioHeader);
  Octets all(kHeader + 40 + 8 + kLarge);
  std::uint8_t* const packet = all.data() + kHeader;
  putIpv6(packet, kHitA, kHitB, proto::kUdp, 8 + kLarge, trafficClass);
  putWholeUdp({packet + 40, 8 + kLarge}, 1000, kHitA, kHitB);
  return all;
}

/// How many packets are marked of those that fill a device's queue, one in fifty of them of this class.
std::uint64_t markedOut(std::size_t bytes, std::uint8_t trafficClass) {
  TwoPlanes scene(65'535);
  scene.open();
  const Octets often = datagram(0);
  const Octets rare = datagram(trafficClass);
  std::uint64_t packets = 0;
  {
    const Precedence all;
    for (std::size_t sent = 0; sent < bytes; sent += kLarge, packets++) scene.a.give(packets % 50 == 0 ? rare : often);
  }
  CHECK(scene.a.reaches("esp_tx_packets_total", packets));
  return scene.a.count("marked_late_total");
}

void fromTheWire() {
  CHECK_EQ(markedIn(kShort, kEct0), 0u);
  CHECK_EQ(markedIn(kLong, 0), 0u);
  const std::uint64_t late = markedIn(kLong, kEct0);
  CHECK(late >= kFewest * kTogether);
  CHECK(late <= kMost * kTogether);
  passed("what waited in a socket for too long is marked now and then");
}

void fromTheDevice() {
  CHECK_EQ(markedOut(kShort, kEct0), 0u);
  CHECK_EQ(markedOut(kLong, 0), 0u);
  // A mark waits for a packet that can carry it.
  const std::uint64_t late = markedOut(kLong, kEct0);
  CHECK(late >= kFewest);
  CHECK(late <= kMost);
  passed("what waited in a device's queue for too long is marked now and then");
}

}  // namespace

int main() {
  if (!isolated()) return 0;
  if (!oneProcessor() || !largeBuffers()) {
    std::puts("  skipped: marks behind a long backlog: needs CAP_SYS_NICE and CAP_NET_ADMIN");
    return 0;
  }
  fromTheWire();
  fromTheDevice();
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // the leak checker looks into its own process
}
