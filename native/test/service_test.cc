// Messages to a service manager, sealed memory, tickets, and capabilities given up by every thread.
#include "service.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "check.h"

namespace service = hipd::service;

namespace {

/// A bound datagram socket: the manager's end.
hipd::Fd manager(const std::string& name) {
  hipd::Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, name.size());
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (name[0] == '@') {
    address.sun_path[0] = '\0';
  } else {
    length++;
  }
  CHECK(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
  return fd;
}

struct Received {
  std::string message;
  std::vector<hipd::Fd> fds;
};

Received receive(int fd) {
  Received result;
  std::array<char, 4096> text{};
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(16 * sizeof(int))> control{};
  iovec part{text.data(), text.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t got = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  CHECK(got > 0);
  result.message.assign(text.data(), static_cast<std::size_t>(got));
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  for (std::size_t at = 0; rights != nullptr && CMSG_LEN(at) < rights->cmsg_len; at += sizeof(int)) {
    int passed = -1;
    std::memcpy(&passed, CMSG_DATA(rights) + at, sizeof passed);
    result.fds.emplace_back(passed);
  }
  return result;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void tellsTheManager() {
  const std::string folder = std::filesystem::temp_directory_path();
  for (const std::string& name :
       {folder + "/hipd-notify-" + std::to_string(getpid()), "@hipd-notify-" + std::to_string(getpid())}) {
    const hipd::Fd end = manager(name);
    CHECK_EQ(service::notify(name, "READY=1", {}).size(), 0u);
    const Received plain = receive(end.get());
    CHECK(plain.message == "READY=1");
    CHECK(plain.fds.empty());

    const std::array<std::uint8_t, 3> bytes{7, 8, 9};
    const service::Made sealed = service::makeSealed("hipd-test", bytes);
    const service::Made ticket = service::makeTicket();
    CHECK_EQ(service::notify(name, "FDSTORE=1\nFDNAME=x", {sealed.fd.get(), ticket.fd.get()}).size(), 0u);
    const Received stored = receive(end.get());
    CHECK(stored.message == "FDSTORE=1\nFDNAME=x");
    CHECK_EQ(stored.fds.size(), 2u);
    std::vector<std::uint8_t> read;
    CHECK_EQ(service::readSealed(stored.fds[0].get(), read).size(), 0u);
    CHECK((read == std::vector<std::uint8_t>{7, 8, 9}));
    if (name[0] == '/') unlink(name.c_str());
  }
  CHECK(contains(service::notify("@hipd-nobody-listens", "READY=1", {}), "cannot tell the service manager"));
  CHECK(contains(service::notify("relative/path", "READY=1", {}), "is not the address"));
  CHECK(contains(service::notify("/" + std::string(107, 'x'), "READY=1", {}), "is not the address"));
  CHECK(contains(service::notify("@x", "", {}), "empty"));
  CHECK(contains(service::notify("@x", "FDSTORE=1", std::vector<int>(254, 0)), "at most 253"));
  CHECK(contains(service::notify("@hipd-nobody-listens", "FDSTORE=1", {999'999}), "cannot tell"));
}

void sealsForEver() {
  std::vector<std::uint8_t> bytes(100'000);
  for (std::size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<std::uint8_t>(i * 7);
  const service::Made made = service::makeSealed("hipd-test", bytes);
  CHECK(made.error.empty());
  CHECK((fcntl(made.fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
  for (int round = 0; round < 2; round++) {  // its offset does not matter
    std::vector<std::uint8_t> read;
    CHECK_EQ(service::readSealed(made.fd.get(), read).size(), 0u);
    CHECK(read == bytes);
  }
  const std::uint8_t one = 1;
  CHECK(pwrite(made.fd.get(), &one, 1, 0) < 0 && errno == EPERM);
  CHECK(ftruncate(made.fd.get(), 0) < 0 && ftruncate(made.fd.get(), 1 << 20) < 0);
  CHECK(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, made.fd.get(), 0) == MAP_FAILED);
  CHECK(fcntl(made.fd.get(), F_ADD_SEALS, F_SEAL_SHRINK) < 0);

  const service::Made empty = service::makeSealed("hipd-test", {});
  std::vector<std::uint8_t> read{1};
  CHECK_EQ(service::readSealed(empty.fd.get(), read).size(), 0u);
  CHECK(read.empty());
}

void refusesWhatIsNotSealed() {
  std::vector<std::uint8_t> read;
  const hipd::Fd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  CHECK(contains(service::readSealed(file.get(), read), "not a memfd"));
  CHECK(contains(service::readSealed(999'999, read), "not open"));
  const hipd::Fd loose(memfd_create("hipd-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  CHECK(contains(service::readSealed(loose.get(), read), "not sealed"));
  CHECK(fcntl(loose.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
  CHECK(contains(service::readSealed(loose.get(), read), "not sealed"));
  const hipd::Fd large(memfd_create("hipd-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  CHECK(ftruncate(large.get(), static_cast<off_t>(service::kMaxSealed) + 1) == 0);
  CHECK(fcntl(large.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0);
  CHECK(contains(service::readSealed(large.get(), read), "too many"));
  CHECK(read.empty());
}

void givesATicketOnce() {
  const service::Made ticket = service::makeTicket();
  CHECK(ticket.error.empty());
  CHECK(ftruncate(ticket.fd.get(), 0) < 0);
  // Two processes and several threads ask; one gets it.
  std::array<int, 2> pipes{};
  CHECK(pipe(pipes.data()) == 0);
  for (int process = 0; process < 2; process++) {
    if (fork() != 0) continue;
    std::atomic<int> mine{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
      threads.emplace_back([&] { mine += service::takeTicket(ticket.fd.get()).taken ? 1 : 0; });
    }
    for (std::thread& thread : threads) thread.join();
    const auto count = static_cast<char>(mine.load());
    CHECK(write(pipes[1], &count, 1) == 1);
    _exit(0);
  }
  int sum = 0;
  for (int process = 0; process < 2; process++) {
    char count = 0;
    CHECK(read(pipes[0], &count, 1) == 1);
    sum += count;
    int status = 0;
    CHECK(wait(&status) > 0 && status == 0);
  }
  CHECK_EQ(sum, 1);
  const service::Taken again = service::takeTicket(ticket.fd.get());
  CHECK(!again.taken && again.error.empty());
  close(pipes[0]);
  close(pipes[1]);

  const std::array<std::uint8_t, 1> byte{0};
  const service::Made other = service::makeSealed("hipd-test", byte);
  CHECK(contains(service::takeTicket(other.fd.get()).error, "one page"));
  CHECK(contains(service::takeTicket(STDERR_FILENO).error, "not a memfd"));
}

void keepsDescriptorsToItself() {
  std::array<int, 2> pipes{};
  CHECK(pipe(pipes.data()) == 0);
  CHECK_EQ(service::closeOnExec(pipes[0]).size(), 0u);
  CHECK((fcntl(pipes[0], F_GETFD) & FD_CLOEXEC) != 0);
  CHECK_EQ(service::closeFd(pipes[0]).size(), 0u);
  CHECK_EQ(service::closeFd(pipes[1]).size(), 0u);
  CHECK(contains(service::closeFd(pipes[1]), "Bad file descriptor"));
  CHECK(contains(service::closeOnExec(pipes[1]), "Bad file descriptor"));
  CHECK(contains(service::closeFd(1), "stays open"));
}

std::string field(const std::filesystem::path& status, const std::string& name) {
  std::ifstream file(status);
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with(name + ":")) return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  }
  return "";
}

constexpr std::uint64_t kNetAdmin = 1ull << 12;

/// In a process of its own: what is given up does not come back.
void dropsInEveryThread() {
  const std::uint64_t before = std::stoull(field("/proc/self/status", "CapPrm"), nullptr, 16);
  const pid_t child = fork();
  if (child != 0) {
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return;
  }
  CHECK(contains(service::dropPrivileges({"CAP_SYS_ADMIN"}), "may keep"));
  std::array<int, 2> pipes{};
  CHECK(pipe(pipes.data()) == 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&, i] {
      // As some of Node's threads: every signal is blocked. They sleep in a system call.
      sigset_t set;
      sigfillset(&set);
      if (i % 2 == 0) pthread_sigmask(SIG_BLOCK, &set, nullptr);
      char byte = 0;
      ssize_t got = 0;
      do {
        got = ::read(pipes[0], &byte, 1);
      } while (got < 0 && errno == EINTR);
    });
  }
  CHECK(service::dropPrivileges({"CAP_NET_ADMIN"}).empty());
  threads.emplace_back([] {});  // one that comes later is no better
  int seen = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    const std::filesystem::path status = task.path() / "status";
    const std::string permitted = field(status, "CapPrm");
    if (permitted.empty()) continue;  // it has ended
    seen++;
    for (const char* set : {"CapPrm", "CapEff"}) {
      CHECK_EQ(std::stoull(field(status, set), nullptr, 16), before & kNetAdmin);
    }
    for (const char* set : {"CapInh", "CapAmb"}) CHECK_EQ(std::stoull(field(status, set), nullptr, 16), 0u);
    if ((before & 1ull << 8) != 0) CHECK_EQ(std::stoull(field(status, "CapBnd"), nullptr, 16) & ~kNetAdmin, 0u);
    CHECK(field(status, "NoNewPrivs") == "1");
  }
  CHECK(seen >= 5);
  CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
  rlimit core{1, 1};
  CHECK(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
  // The C library's own use of the signal works as before.
  CHECK(setresuid(getuid(), getuid(), getuid()) == 0);
  CHECK(service::dropPrivileges({}).empty());
  CHECK_EQ(std::stoull(field("/proc/self/status", "CapPrm"), nullptr, 16), 0u);
  const std::array<char, 5> bytes{};
  CHECK(write(pipes[1], bytes.data(), bytes.size()) == 5);
  for (std::thread& thread : threads) thread.join();
  _exit(0);
}

}  // namespace

int main() {
  tellsTheManager();
  sealsForEver();
  refusesWhatIsNotSealed();
  givesATicketOnce();
  keepsDescriptorsToItself();
  dropsInEveryThread();
}
