// dropPrivileges of service.h. Linux keeps capabilities by thread, and Node has threads before any of our code runs:
// each of them is asked by a signal to give up its own.
#include <dirent.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>

#include "service.h"

#if defined(__x86_64__)
// Where a signal handler returns to on x86-64, when it was not set by the C library.
asm(".pushsection .text\n"
    ".hidden hipd_signal_return\n"
    ".globl hipd_signal_return\n"
    ".type hipd_signal_return, @function\n"
    "hipd_signal_return:\n"
    "  mov $15, %eax\n"
    "  syscall\n"
    ".popsection\n");
extern "C" void hipd_signal_return();
#endif

namespace hipd::service {

namespace {

struct Named {
  const char* name;
  unsigned number;
};
/// Those that hipd may have a use for.
constexpr std::array<Named, 5> kCapabilities{{{"CAP_CHOWN", CAP_CHOWN},
                                              {"CAP_DAC_OVERRIDE", CAP_DAC_OVERRIDE},
                                              {"CAP_FOWNER", CAP_FOWNER},
                                              {"CAP_NET_ADMIN", CAP_NET_ADMIN},
                                              {"CAP_NET_RAW", CAP_NET_RAW}}};

/// The C library's own signal for such broadcasts (setuid(2)): the only one that no thread can block. It is given back
/// afterwards.
constexpr int kSignal = 33;

/// The kernel's form of struct sigaction on x86-64 and arm64.
struct KernelAction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  std::uint64_t mask;
};

std::atomic<std::uint64_t> kept{0};
std::atomic<int> answers{0};
std::atomic<int> failure{0};

/// The calling thread gives up all but `kept`. Only bare system calls: it also runs in a signal handler. 0 or errno's
/// value.
__attribute__((no_sanitize("thread", "address"))) int giveUp() {
  const std::uint64_t keep = kept.load(std::memory_order_relaxed);
  // Before the capability goes that allows it. Without that one the bounding set means little: see no_new_privs.
  for (unsigned one = 0; one < 64; one++) {
    if ((keep >> one & 1) != 0) continue;
    if (syscall(SYS_prctl, PR_CAPBSET_DROP, one, 0, 0, 0) < 0 && errno == EINVAL) break;
  }
  if (syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return errno;
  if (syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return errno;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  if (syscall(SYS_capget, &header, sets) < 0) return errno;
  for (unsigned half = 0; half < 2; half++) {
    sets[half].permitted &= static_cast<std::uint32_t>(keep >> (32 * half));
    sets[half].effective = sets[half].permitted;
    sets[half].inheritable = 0;
  }
  return syscall(SYS_capset, &header, sets) < 0 ? errno : 0;
}

__attribute__((no_sanitize("thread", "address"))) void onSignal(int) {
  const int saved = errno;
  const int error = giveUp();
  if (error != 0) failure.store(error);
  answers.fetch_add(1);
  errno = saved;
}

bool setAction(const KernelAction* action, KernelAction* before) {
  return syscall(SYS_rt_sigaction, kSignal, action, before, sizeof(std::uint64_t)) == 0;
}

/// The threads of this process but the calling one. Empty also when that cannot be told: see `error`.
std::vector<pid_t> otherThreads(std::string& error) {
  std::vector<pid_t> found;
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr) {
    error = "cannot list the threads of this process: " + errorText(errno);
    return found;
  }
  const auto self = static_cast<pid_t>(syscall(SYS_gettid));
  for (const dirent* entry = readdir(folder); entry != nullptr; entry = readdir(folder)) {
    const std::string_view name = entry->d_name;
    pid_t thread = 0;
    const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), thread);
    if (wrong == std::errc{} && end == name.data() + name.size() && thread != self) found.push_back(thread);
  }
  closedir(folder);
  return found;
}

bool answered(int wanted) {
  constexpr long kPauseNs = 100'000;
  for (long waited = 0; answers.load() < wanted; waited += kPauseNs) {
    if (waited > kThreadPatience * 1'000'000L) return false;
    const timespec pause{0, kPauseNs};
    nanosleep(&pause, nullptr);
  }
  return true;
}

std::string askOthers() {
  std::vector<pid_t> asked;
  // A thread that has not been asked yet may start others: until there is none that is new.
  for (;;) {
    std::string error;
    bool news = false;
    for (const pid_t thread : otherThreads(error)) {
      if (std::find(asked.begin(), asked.end(), thread) != asked.end()) continue;
      asked.push_back(thread);
      const int before = answers.load();
      if (syscall(SYS_tgkill, getpid(), thread, kSignal) < 0) {
        if (errno == ESRCH) continue;  // it has ended
        return "cannot signal a thread: " + errorText(errno);
      }
      news = true;
      if (!answered(before + 1)) return "a thread did not give up its capabilities";
    }
    if (!error.empty()) return error;
    if (!news) break;
  }
  const int error = failure.load();
  return error == 0 ? "" : "a thread could not give up its capabilities: " + errorText(error);
}

}  // namespace

std::string dropPrivileges(const std::vector<std::string>& keep) {
  std::uint64_t wanted = 0;
  for (const std::string& name : keep) {
    const auto found =
        std::find_if(kCapabilities.begin(), kCapabilities.end(), [&](const Named& one) { return name == one.name; });
    if (found == kCapabilities.end()) return "\"" + name + "\" is not a capability that hipd may keep";
    wanted |= std::uint64_t{1} << found->number;
  }
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) < 0) return "cannot turn core dumps off: " + errorText(errno);
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return "cannot turn core dumps off: " + errorText(errno);

  kept.store(wanted);
  failure.store(0);
  const int error = giveUp();
  if (error != 0) return "cannot give up capabilities: " + errorText(error);
  KernelAction action{};
  action.handler = onSignal;
  action.flags = SA_RESTART | SA_ONSTACK;
#if defined(__x86_64__)
  constexpr unsigned long kHasRestorer = 0x04000000;  // SA_RESTORER
  action.flags |= kHasRestorer;
  action.restorer = hipd_signal_return;
#endif
  KernelAction before{};
  if (!setAction(&action, &before)) return "cannot reach the other threads: " + errorText(errno);
  const std::string failed = askOthers();
  setAction(&before, nullptr);
  return failed;
}

}  // namespace hipd::service
