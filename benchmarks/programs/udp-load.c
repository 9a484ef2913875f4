// Small UDP datagrams, as many as arrive:
//   udp-load sink PORT
//   udp-load search HOST PORT FLOWS SIZE BATCH
// `search` looks for the highest rate at which less than 1 % is lost. It offers a rate for some time, waits until
// everything has settled, asks the sink how many came, and raises or bisects; at last it holds the rate found for half
// a second. One line for each rate: {"offered":1/s,"sent":N,"received":N,"seconds":S}; a last one {"rate":1/s that
// came,"loss":share}. BATCH 1 sends one by one, as most programs do; more sends that many by one sendmmsg.
#include <sys/prctl.h>

#include "common.h"

enum { MAX_FLOWS = 64, MAX_BATCH = 64, MAX_SIZE = 1500, BUFFER = 4 << 20, ANSWERS = 300, TRIES = 3 };
static const uint32_t kData = 0x64617461, kQuestion = 0x71756573;
static const double kLoss = 0.01, kFirst = 50e3, kRaise = 1.6, kTick = 100e-6, kSettle = 0.03, kPatience = 3;

struct datagram {
  uint32_t kind, step;
  uint64_t received;
};

static void buffers(int fd) {
  const int size = BUFFER;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  }
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  }
}

static void sink(const char* port) {
  const int fd = bound(SOCK_DGRAM, port);
  buffers(fd);
  static char memory[MAX_BATCH][MAX_SIZE];
  struct mmsghdr messages[MAX_BATCH];
  struct iovec pieces[MAX_BATCH];
  struct sockaddr_in6 from[MAX_BATCH];
  struct datagram answer = {.kind = kQuestion};
  for (;;) {
    for (int i = 0; i < MAX_BATCH; i++) {
      pieces[i] = (struct iovec){memory[i], MAX_SIZE};
      messages[i].msg_hdr =
          (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &pieces[i], .msg_iovlen = 1};
    }
    const int got = recvmmsg(fd, messages, MAX_BATCH, MSG_WAITFORONE, NULL);
    if (got < 0) die("recvmmsg");
    for (int i = 0; i < got; i++) {
      struct datagram one;
      if (messages[i].msg_len < sizeof one) continue;
      memcpy(&one, memory[i], sizeof one);
      if (one.kind == kData) {
        if (one.step != answer.step) answer.received = 0;
        answer.step = one.step;
        answer.received++;
      } else if (one.kind == kQuestion) {
        struct datagram reply = answer;
        if (reply.step != one.step) reply.received = 0;
        reply.step = one.step;
        sendto(fd, &reply, sizeof reply, 0, (struct sockaddr*)&from[i], messages[i].msg_hdr.msg_namelen);
      }
    }
  }
}

static int sockets[MAX_FLOWS], flows, size, batch;
static uint32_t step;
static double patience;  // until then a rate that failed is tried again

struct outcome {
  double loss, rate;  // of what arrived
  int limited;        // the sender itself could not reach the rate
};

// Asks until an answer comes; gives up after three seconds.
static uint64_t ask(void) {
  const struct datagram question = {.kind = kQuestion, .step = step};
  const struct timeval patience = {0, 10000};
  setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  for (int i = 0; i < ANSWERS; i++) {
    struct datagram reply;
    send(sockets[0], &question, sizeof question, 0);
    while (recv(sockets[0], &reply, sizeof reply, 0) == (ssize_t)sizeof reply) {
      if (reply.kind == kQuestion && reply.step == step) return reply.received;
    }
  }
  fprintf(stderr, "the sink does not answer\n");
  exit(1);
}

static struct outcome offer(double rate, double seconds) {
  static char memory[MAX_BATCH][MAX_SIZE];
  static struct mmsghdr messages[MAX_BATCH];
  static struct iovec pieces[MAX_BATCH];
  const struct datagram one = {.kind = kData, .step = ++step};
  for (int i = 0; i < MAX_BATCH; i++) {
    memcpy(memory[i], &one, sizeof one);
    pieces[i] = (struct iovec){memory[i], (size_t)size};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
  }
  uint64_t sent = 0;
  int flow = 0;
  const double begun = now();
  double t = begun;
  while (t < begun + seconds) {
    int64_t due = (int64_t)((t - begun) * rate) - (int64_t)sent;
    if (due < 1) {
      sleep_until(t + kTick);
      t = now();
      continue;
    }
    int put = 1;
    if (batch == 1) {
      if (send(sockets[flow], memory[0], (size_t)size, 0) < 0) put = 0;
    } else {
      put = sendmmsg(sockets[flow], messages, (unsigned)(due < batch ? due : batch), 0);
    }
    if (put > 0) sent += (uint64_t)put;
    flow = (flow + 1) % flows;
    t = now();
  }
  const double spent = t - begun;
  sleep_until(t + kSettle);
  const uint64_t received = ask();
  printf("{\"offered\":%.0f,\"sent\":%llu,\"received\":%llu,\"seconds\":%.4f}\n", rate, (unsigned long long)sent,
         (unsigned long long)received, spent);
  fflush(stdout);
  return (struct outcome){sent == 0 ? 1 : 1 - (double)received / (double)sent, (double)received / spent,
                          (double)sent < 0.9 * rate * spent};
}

// Whether the rate can be held. What else runs may spoil a try or two; that it works by chance is far less likely.
static int holds(double rate, double seconds, struct outcome* got) {
  for (int i = 0; i < TRIES; i++) {
    *got = offer(rate, seconds);
    if (got->loss < kLoss && !got->limited) return 1;
    if (now() > patience) break;
  }
  return 0;
}

static void search(void) {
  struct outcome got;
  double low = kFirst / 25, high = kFirst;
  patience = now() + kPatience;
  offer(kFirst, 0.1);  // warms caches, and wakes what sleeps
  while (holds(high, 0.1, &got)) {
    low = high;
    high *= kRaise;
  }
  for (int i = 0; i < 4; i++) {
    const double middle = low + (high - low) / 2;
    if (holds(middle, 0.15, &got)) {
      low = middle;
    } else {
      high = middle;
    }
  }
  // Gives up after some time: the loss tells that the rate was not held.
  while (!holds(low, 0.4, &got) && now() < patience + kPatience) low *= 0.9;
  printf("{\"rate\":%.0f,\"loss\":%.5f}\n", got.rate, got.loss);
}

int main(int argc, char** argv) {
  prctl(PR_SET_TIMERSLACK, 1);
  if (argc == 3 && strcmp(argv[1], "sink") == 0) sink(argv[2]);
  if (argc == 7 && strcmp(argv[1], "search") == 0) {
    flows = atoi(argv[4]);
    size = atoi(argv[5]);
    batch = atoi(argv[6]);
    if (flows >= 1 && flows <= MAX_FLOWS && size >= (int)sizeof(struct datagram) && size <= MAX_SIZE && batch >= 1 &&
        batch <= MAX_BATCH) {
      for (int i = 0; i < flows; i++) {
        sockets[i] = connected(SOCK_DGRAM, argv[2], argv[3]);
        buffers(sockets[i]);
      }
      search();
      return 0;
    }
  }
  fprintf(stderr,
          "usage: udp-load sink PORT | udp-load search HOST PORT FLOWS SIZE BATCH (at most 64 flows, 64 a batch)\n");
  return 2;
}
