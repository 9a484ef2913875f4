// The priority of data threads.
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "../worker.h"
#include "packets.h"

using namespace hipd;
using namespace hipd::test;

namespace {

constexpr std::size_t kMostEvents = 100;

std::string nameOf(const std::filesystem::path& task) {
  std::string name;
  std::getline(std::ifstream(task / "comm"), name);
  return name;
}

/// The nice value of the thread of this process that has the name; 99 when there is none within 5 s.
int niceOf(const std::string& name, int wanted) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  int found = 99;
  while (found != wanted && std::chrono::steady_clock::now() < until) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      if (nameOf(task.path()) != name) continue;
      const std::string id = task.path().filename();
      id_t thread = 0;
      std::from_chars(id.data(), id.data() + id.size(), thread);
      found = getpriority(PRIO_PROCESS, thread);
    }
    std::this_thread::yield();
  }
  return found;
}

/// A worker on a device that stays silent. What it tells an administrator.
std::string told(const WorkerOptions& options, int wanted) {
  std::array<int, 2> ends{};
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  Shared shared(
      {}, {{4, {198, 18}}, 15}, [](void*) {}, nullptr);
  Fd far(ends[0]);
  Worker worker(shared, options, Fd(ends[1]), {});
  CHECK(worker.prepare().empty());
  worker.start();
  CHECK_EQ(niceOf("hipd-data-" + std::to_string(options.index), wanted), wanted);
  worker.stop();
  Octets records(kMostEvents * kMaxEventRecord);
  records.resize(shared.events.drain(records, kMostEvents));
  return {records.begin(), records.end()};
}

void hasItsOwn() {
  const int before = getpriority(PRIO_PROCESS, 0);
  WorkerOptions options;
  options.nice = before + 3;
  CHECK(told(options, before + 3).empty());
  CHECK_EQ(getpriority(PRIO_PROCESS, 0), before);
  passed("a data thread has the priority that it is given, and no other thread has");
}

/// In a process of its own: what is given up does not come back.
void goesOnWithout() {
  const pid_t child = fork();
  if (child != 0) {
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    passed("a priority that is refused is told of once, and packets flow without");
    return;
  }
  const rlimit none{0, 0};
  CHECK(setrlimit(RLIMIT_NICE, &none) == 0);
  const id_t nobody = 65534;
  if (geteuid() == 0) CHECK(setresuid(nobody, nobody, nobody) == 0);
  const int before = getpriority(PRIO_PROCESS, 0);
  WorkerOptions options;
  options.nice = before - 1;
  CHECK(told(options, before).find("nice " + std::to_string(before - 1) + " is refused") != std::string::npos);
  options.index = 1;
  CHECK(told(options, before).empty());
  options.index = 0;
  options.fresh = false;
  CHECK(told(options, before).empty());
  _exit(0);
}

}  // namespace

int main() {
  hasItsOwn();
  goesOnWithout();
}
