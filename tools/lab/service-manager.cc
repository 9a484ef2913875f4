// What systemd is to hipd, in small, where there is no systemd: starts a command with NOTIFY_SOCKET (sd_notify(3)),
// keeps the descriptors that it stores (FDSTORE=1), and hands them to the next one (LISTEN_FDS, LISTEN_PID,
// LISTEN_FDNAMES).
//
//   service-manager [--watchdog MILLIS] [--idle] -- COMMAND [ARGUMENT]...
//
// The command starts at once, without --idle. Each line on standard input asks for something:
//   start      start the command, with the descriptors that are stored
//   restart    SIGTERM, wait for the end (SIGKILL after 10 s), start again; what is stored stays
//   stop       SIGTERM, wait for the end; what is stored is closed
//   kill       SIGKILL, as a crash; what is stored stays, and "start" hands it on
//   reload     SIGHUP
//   forget     close what is stored
// The end of standard input is "stop" and the end of the program.
//
// What happens is told on standard output, one JSON object a line, between the lines of the command itself:
//   {"manager":"started","run":N,"pid":N,"descriptors":["name",...]}
//   {"manager":"ready"|"reloading"|"stopping"|"watchdog","run":N,"millis":N}     millis since "started"
//   {"manager":"status","run":N,"text":"..."}
//   {"manager":"stored","run":N,"name":"...","count":N}   {"manager":"removed","run":N,"name":"...","count":N}
//   {"manager":"extended","run":N,"micros":N}
//   {"manager":"ended","run":N,"status":N,"signal":N,"millis":N,"stored":["name",...]}
//   {"manager":"watchdog-missed","run":N}                 the command gets SIGABRT
//   {"manager":"refused","what":"..."}
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr double STOP_MILLIS = 10'000;
constexpr std::size_t MOST_STORED = 512;
/// The first descriptor that a service gets (sd_listen_fds(3)).
constexpr int FIRST = 3;

struct Stored {
  std::string name;
  int fd;
};

double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return result + "\"";
}

/// Whole lines, so that those of the command stay whole, too.
void tell(const std::string& fields) {
  const std::string line = "{\"manager\":" + fields + "}\n";
  (void)!write(STDOUT_FILENO, line.data(), line.size());
}

class Manager {
 public:
  Manager(char** command, double watchdog) : command_(command), watchdog_(watchdog) {
    notify_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name_ = "@hipd-manager-" + std::to_string(getpid());
    name_.copy(address.sun_path, name_.size());
    address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    const int on = 1;
    setsockopt(notify_, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    if (bind(notify_, reinterpret_cast<const sockaddr*>(&address), length) < 0) {
      std::perror("service-manager: bind");
      std::exit(1);
    }
    sigemptyset(&blocked_);
    sigaddset(&blocked_, SIGCHLD);
    sigaddset(&blocked_, SIGTERM);
    sigaddset(&blocked_, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked_, &before_);
    signals_ = signalfd(-1, &blocked_, SFD_CLOEXEC | SFD_NONBLOCK);
  }

  void run(bool startNow) {
    if (startNow) start();
    std::string input;
    while (!(finishing_ && pid_ == 0)) {
      pollfd watched[] = {{notify_, POLLIN, 0}, {signals_, POLLIN, 0}, {finishing_ ? -1 : STDIN_FILENO, POLLIN, 0}};
      const int ready = poll(watched, 3, timeout());
      if (ready < 0 && errno != EINTR) return;
      // First what was said, then who ended: as systemd does.
      receive();
      signals();
      deadlines();
      if (ready <= 0 || watched[2].revents == 0) continue;
      char bytes[1024];
      const ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
      if (got <= 0) {
        finishing_ = true;
        stop(false);
        continue;
      }
      input.append(bytes, static_cast<std::size_t>(got));
      for (std::size_t end = input.find('\n'); end != std::string::npos; end = input.find('\n')) {
        obey(input.substr(0, end));
        input.erase(0, end + 1);
      }
    }
  }

 private:
  void obey(const std::string& word) {
    if (word == "start" && pid_ == 0) {
      start();
    } else if (word == "restart" && pid_ != 0) {
      stop(true);
    } else if (word == "restart") {
      start();
    } else if (word == "stop") {
      stop(false);
    } else if (word == "kill" && pid_ != 0) {
      keep_ = true;
      ::kill(pid_, SIGKILL);
    } else if (word == "reload" && pid_ != 0) {
      ::kill(pid_, SIGHUP);
    } else if (word == "forget") {
      forget();
    } else {
      tell("\"refused\",\"what\":" + quoted(word));
    }
  }

  void start() {
    runs_++;
    started_ = fed_ = now();
    killAt_ = 0;
    again_ = ready_ = false;
    keep_ = true;
    const pid_t child = fork();
    if (child == 0) becomeCommand();
    pid_ = child;
    tell("\"started\"" + which() + ",\"pid\":" + std::to_string(child) + ",\"descriptors\":" + names());
  }

  [[noreturn]] void becomeCommand() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, &before_, nullptr);
    // First away from where they shall end up.
    std::vector<int> high;
    const int floor = FIRST + static_cast<int>(stored_.size());
    for (const Stored& one : stored_) high.push_back(fcntl(one.fd, F_DUPFD_CLOEXEC, floor));
    std::string list;
    for (std::size_t i = 0; i < high.size(); i++) {
      dup2(high[i], FIRST + static_cast<int>(i));  // without FD_CLOEXEC
      list += (i == 0 ? "" : ":") + stored_[i].name;
    }
    setenv("NOTIFY_SOCKET", name_.c_str(), 1);
    if (!high.empty()) {
      setenv("LISTEN_FDS", std::to_string(high.size()).c_str(), 1);
      setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
      setenv("LISTEN_FDNAMES", list.c_str(), 1);
    }
    if (watchdog_ > 0) {
      setenv("WATCHDOG_USEC", std::to_string(static_cast<long>(watchdog_ * 1e3)).c_str(), 1);
      setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
    }
    execvp(command_[0], command_);
    std::perror(command_[0]);
    _exit(127);
  }

  void stop(bool again) {
    again_ = again;
    keep_ = again;
    if (pid_ == 0) {
      if (!again) forget();
      return;
    }
    killAt_ = now() + STOP_MILLIS;
    ::kill(pid_, SIGTERM);
  }

  void signals() {
    signalfd_siginfo info{};
    while (::read(signals_, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo != SIGCHLD) {
        finishing_ = true;
        stop(false);
      }
    }
    int status = 0;
    while (pid_ != 0 && waitpid(pid_, &status, WNOHANG) == pid_) {
      receive();  // what it said last
      pid_ = 0;
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
      const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
      tell("\"ended\"" + which() + ",\"status\":" + std::to_string(code) + ",\"signal\":" + std::to_string(signal) +
           ",\"millis\":" + millis() + ",\"stored\":" + names());
      if (again_) {
        start();
      } else if (!keep_) {
        forget();
      }
    }
  }

  int timeout() const {
    double next = killAt_;
    if (watchdog_ > 0 && ready_ && pid_ != 0 && (next == 0 || fed_ + watchdog_ < next)) next = fed_ + watchdog_;
    if (next == 0 || pid_ == 0) return -1;
    return static_cast<int>(std::max(0.0, next - now())) + 1;
  }

  void deadlines() {
    if (pid_ == 0) return;
    if (killAt_ > 0 && now() > killAt_) {
      killAt_ = 0;
      ::kill(pid_, SIGKILL);
    }
    if (watchdog_ > 0 && ready_ && now() > fed_ + watchdog_) {
      fed_ = now();
      tell("\"watchdog-missed\"" + which());
      ::kill(pid_, SIGABRT);
    }
  }

  void receive() {
    for (;;) {
      char text[8192];
      alignas(cmsghdr) char control[CMSG_SPACE(253 * sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
      iovec part{text, sizeof text};
      msghdr header{};
      header.msg_iov = &part;
      header.msg_iovlen = 1;
      header.msg_control = control;
      header.msg_controllen = sizeof control;
      const ssize_t got = recvmsg(notify_, &header, MSG_CMSG_CLOEXEC);
      if (got <= 0) return;
      std::vector<int> fds;
      pid_t sender = 0;
      for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
        if (one->cmsg_level != SOL_SOCKET) continue;
        if (one->cmsg_type == SCM_CREDENTIALS) {
          ucred who{};
          std::memcpy(&who, CMSG_DATA(one), sizeof who);
          sender = who.pid;
        } else if (one->cmsg_type == SCM_RIGHTS) {
          fds.resize((one->cmsg_len - CMSG_LEN(0)) / sizeof(int));
          std::memcpy(fds.data(), CMSG_DATA(one), fds.size() * sizeof(int));
        }
      }
      // NotifyAccess=main
      if (sender == pid_) {
        heard({text, static_cast<std::size_t>(got)}, fds);
      } else {
        tell("\"refused\",\"what\":" + quoted("a message of process " + std::to_string(sender)));
      }
      for (const int fd : fds) {
        if (fd >= 0) close(fd);
      }
    }
  }

  /// Descriptors that it keeps become -1 in `fds`.
  void heard(std::string_view message, std::vector<int>& fds) {
    std::string name = "stored";
    bool store = false;
    bool remove = false;
    while (!message.empty()) {
      const std::size_t end = message.find('\n');
      const std::string_view line = message.substr(0, end);
      message.remove_prefix(end == std::string_view::npos ? message.size() : end + 1);
      const std::size_t equals = line.find('=');
      if (equals == std::string_view::npos) continue;
      const std::string_view key = line.substr(0, equals);
      const std::string_view value = line.substr(equals + 1);
      if (key == "READY") {
        ready_ = true;
        fed_ = now();
        said("ready");
      }
      if (key == "RELOADING") said("reloading");
      if (key == "STOPPING") said("stopping");
      if (key == "WATCHDOG") {
        fed_ = now();
        said("watchdog");
      }
      if (key == "STATUS") tell("\"status\"" + which() + ",\"text\":" + quoted(value));
      if (key == "EXTEND_TIMEOUT_USEC") tell("\"extended\"" + which() + ",\"micros\":" + std::string(value));
      if (key == "FDNAME") name = value;
      store = store || line == "FDSTORE=1";
      remove = remove || line == "FDSTOREREMOVE=1";
    }
    if (store) {
      const std::size_t count = fds.size();
      for (int& fd : fds) {
        if (stored_.size() >= MOST_STORED) break;
        if (isStored(fd)) continue;
        stored_.push_back({name, fd});
        fd = -1;
      }
      tell("\"stored\"" + which() + ",\"name\":" + quoted(name) + ",\"count\":" + std::to_string(count));
    }
    if (remove) {
      const std::size_t before = stored_.size();
      std::erase_if(stored_, [&](const Stored& one) { return one.name == name && close(one.fd) == 0; });
      const std::size_t gone = before - stored_.size();
      tell("\"removed\"" + which() + ",\"name\":" + quoted(name) + ",\"count\":" + std::to_string(gone));
    }
  }

  /// The same open file is kept once.
  bool isStored(int fd) const {
    const pid_t self = getpid();
    return std::any_of(stored_.begin(), stored_.end(),
                       [&](const Stored& one) { return syscall(SYS_kcmp, self, self, KCMP_FILE, one.fd, fd) == 0; });
  }

  void forget() {
    for (const Stored& one : stored_) close(one.fd);
    stored_.clear();
  }

  void said(const char* what) const { tell(quoted(what) + which() + ",\"millis\":" + millis()); }
  std::string which() const { return ",\"run\":" + std::to_string(runs_); }
  std::string millis() const { return std::to_string(static_cast<long>(now() - started_)); }
  std::string names() const {
    std::string list;
    for (const Stored& one : stored_) list += (list.empty() ? "" : ",") + quoted(one.name);
    return "[" + list + "]";
  }

  char** const command_;
  const double watchdog_;
  std::string name_;
  int notify_ = -1;
  int signals_ = -1;
  sigset_t blocked_{};
  sigset_t before_{};
  std::vector<Stored> stored_;
  pid_t pid_ = 0;
  int runs_ = 0;
  double started_ = 0;
  double fed_ = 0;
  double killAt_ = 0;
  bool again_ = false;
  /// The watchdog's time begins then.
  bool ready_ = false;
  /// What is stored outlives the command that runs now.
  bool keep_ = true;
  bool finishing_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  double watchdog = 0;
  bool idle = false;
  int at = 1;
  for (; at < argc && std::strcmp(argv[at], "--") != 0; at++) {
    if (std::strcmp(argv[at], "--idle") == 0) {
      idle = true;
    } else if (std::strcmp(argv[at], "--watchdog") == 0 && at + 1 < argc) {
      watchdog = std::atof(argv[++at]);
    } else {
      at = argc;
    }
  }
  if (at + 1 >= argc) {
    std::fprintf(stderr, "usage: service-manager [--watchdog MILLIS] [--idle] -- COMMAND [ARGUMENT]...\n");
    return 2;
  }
  Manager(argv + at + 1, watchdog).run(!idle);
}
