// What a watchdog asks: whether each data worker still gets through with what it found.
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "../worker.h"
#include "packets.h"

using namespace hipd;
using namespace hipd::test;

namespace {

using Clock = std::chrono::steady_clock;

/// A worker that reads a device which does not answer proves no progress; one that sleeps does.
void stalls() {
  std::array<int, 2> ends{};
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  Shared shared(
      {}, {{4, {198, 18}}, 15}, [](void*) {}, nullptr);
  Fd far(ends[0]);
  Worker worker(shared, {}, Fd(ends[1]), {});
  CHECK(worker.prepare().empty());
  worker.start();
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  CHECK(!worker.stalled(20));
  // A descriptor that blocks: after the one packet that is there, the worker waits for a second.
  const Octets packet(100, 0);
  CHECK(::send(far.get(), packet.data(), packet.size(), 0) > 0);
  const auto until = Clock::now() + std::chrono::seconds(5);
  while (!worker.stalled(20) && Clock::now() < until) std::this_thread::yield();
  CHECK(worker.stalled(20) && !worker.stalled(60'000));
  CHECK(shutdown(far.get(), SHUT_RDWR) == 0);
  while (worker.stalled(0) && Clock::now() < until) std::this_thread::yield();
  worker.stop();
  CHECK(!worker.stalled(0));
  passed("a worker that hangs is noticed, one that sleeps is not");
}

}  // namespace

int main() {
  stalls();
}
