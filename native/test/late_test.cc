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

/// How many of the packets in a queue of that many bytes are marked.
std::uint64_t marked(std::size_t bytes, int trafficClass) {
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

}  // namespace

int main() {
  if (!isolated()) return 0;
  if (!oneProcessor()) {
    std::puts("  skipped: marks behind a long backlog: needs CAP_SYS_NICE");
    return 0;
  }
  CHECK_EQ(marked(kShortBacklog / 2, kEct0), 0u);
  CHECK_EQ(marked(kLongBacklog + kLongBacklog / 4, 0), 0u);
  const std::uint64_t late = marked(kLongBacklog + kLongBacklog / 4, kEct0);
  CHECK(late >= kTogether);
  CHECK(late * kData <= kLongBacklog);
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // the leak checker looks into its own process
  passed("what waited for too long is marked");
}
