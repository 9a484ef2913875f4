// One datagram each millisecond, and what became of them:
//   pulse receive PORT      prints "listening"; each line on standard input asks for a report; ends with standard input
//   pulse send HOST PORT    until standard input ends
// Times are milliseconds of CLOCK_MONOTONIC, which all namespaces of a machine share. A report is one line:
// {"highest":N,"received":N,"duplicates":N,"missing":[[first,last],...],"gaps":[[start,length],...],"pause":N}
// Gaps are between arrivals, from GAP on; "pause" is the sender's own longest, so that a busy machine can be told
// apart.
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

namespace {

constexpr double GAP = 5;
constexpr std::uint32_t MOST = 1 << 20;

struct Beat {
  std::uint32_t number;
  std::uint32_t unused;
  double sent;
};

double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

void sleepUntil(double millis) {
  timespec time{};
  time.tv_sec = static_cast<time_t>(millis / 1e3);
  time.tv_nsec = static_cast<long>((millis - static_cast<double>(time.tv_sec) * 1e3) * 1e6);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) != 0) {
  }
}

addrinfo* resolve(const char* host, const char* port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICSERV | (host == nullptr ? AI_PASSIVE : 0);
  if (host == nullptr) hints.ai_family = AF_INET6;
  addrinfo* found = nullptr;
  return getaddrinfo(host, port, &hints, &found) == 0 ? found : nullptr;
}

struct Record {
  std::vector<char> seen;
  std::uint32_t received = 0;
  std::uint32_t duplicates = 0;
  std::vector<std::pair<double, double>> gaps;
  double lastCame = 0;
  Beat last{};
  double pause = 0;

  void take(const Beat& beat, double came) {
    if (beat.number >= MOST) return;
    if (beat.number >= seen.size()) seen.resize(beat.number + 1);
    if (seen[beat.number] != 0) {
      duplicates++;
      return;
    }
    seen[beat.number] = 1;
    if (received > 0 && came - lastCame >= GAP) gaps.emplace_back(lastCame, came - lastCame);
    if (received > 0 && beat.number == last.number + 1) pause = std::max(pause, beat.sent - last.sent);
    received++;
    lastCame = came;
    last = beat;
  }

  void tell() const {
    std::printf("{\"highest\":%d,\"received\":%u,\"duplicates\":%u,\"missing\":[", static_cast<int>(seen.size()) - 1,
                received, duplicates);
    const char* comma = "";
    for (std::size_t i = 0; i < seen.size(); i++) {
      if (seen[i] != 0) continue;
      const std::size_t first = i;
      while (i + 1 < seen.size() && seen[i + 1] == 0) i++;
      std::printf("%s[%zu,%zu]", comma, first, i);
      comma = ",";
    }
    std::printf("],\"gaps\":[");
    comma = "";
    for (const auto& [start, length] : gaps) {
      std::printf("%s[%.1f,%.1f]", comma, start, length);
      comma = ",";
    }
    std::printf("],\"pause\":%.1f}\n", pause);
    std::fflush(stdout);
  }
};

int receive(const char* port) {
  const addrinfo* at = resolve(nullptr, port);
  if (at == nullptr) return 1;
  const int fd = socket(AF_INET6, SOCK_DGRAM, 0);
  const int both = 0;
  const int room = 8 << 20;
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &both, sizeof both);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  if (bind(fd, at->ai_addr, at->ai_addrlen) != 0) return 1;
  std::printf("listening\n");
  std::fflush(stdout);
  Record record;
  pollfd ready[2] = {{fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  for (;;) {
    if (poll(ready, 2, -1) < 0) continue;
    Beat beat{};
    while (recv(fd, &beat, sizeof beat, MSG_DONTWAIT) == static_cast<ssize_t>(sizeof beat)) record.take(beat, now());
    if (ready[1].revents == 0) continue;
    char words[256];
    const ssize_t got = read(STDIN_FILENO, words, sizeof words);
    if (got <= 0) return 0;
    for (ssize_t i = 0; i < got; i++) {
      if (words[i] == '\n') record.tell();
    }
  }
}

int transmit(const char* host, const char* port) {
  const addrinfo* to = resolve(host, port);
  if (to == nullptr) return 1;
  const int fd = socket(to->ai_family, SOCK_DGRAM, 0);
  const int room = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  if (connect(fd, to->ai_addr, to->ai_addrlen) != 0) return 1;
  std::printf("sending\n");
  std::fflush(stdout);
  const double begun = now();
  for (std::uint32_t number = 0; number < MOST; number++) {
    sleepUntil(begun + number);
    pollfd asked{STDIN_FILENO, POLLIN, 0};
    if (poll(&asked, 1, 0) != 0) break;
    const Beat beat{number, 0, now()};
    send(fd, &beat, sizeof beat, 0);  // what the kernel refuses is missing at the other end
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_TIMERSLACK, 1);
  if (argc == 3 && std::strcmp(argv[1], "receive") == 0) return receive(argv[2]);
  if (argc == 4 && std::strcmp(argv[1], "send") == 0) return transmit(argv[2], argv[3]);
  std::fprintf(stderr, "usage: pulse receive PORT | pulse send HOST PORT\n");
  return 2;
}
