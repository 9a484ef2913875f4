// Small datagrams at a steady pace, each with its time of sending:
//   udp-probe receive PORT
//   udp-probe send HOST PORT COUNT INTERVAL_US SIZE
// Both ends read one clock (CLOCK_MONOTONIC is the same in all namespaces of a machine), so delays are one-way. When a
// run has ended, or nothing has come for three seconds, the receiver prints one line:
// {"count":N,"received":N,"duplicates":N,"reordered":N,"longestGapMicros":N,"packets":[[number,sent us,delay us],...]}
// The gap is between arrivals; "sent" counts from the first packet that arrived.
#include <poll.h>
#include <sys/prctl.h>

#include "common.h"

enum { MAX_COUNT = 1 << 20, MAX_SIZE = 1500, SILENCE = 3000, ENDS = 20 };

struct probe {
  uint32_t run, number, count, end;
  double sent;
};

struct arrival {
  uint32_t number;
  double sent, came;
};

static struct arrival arrivals[MAX_COUNT];
static unsigned char seen[MAX_COUNT];

static void tell(uint32_t count, uint32_t received, uint32_t duplicates) {
  double gap = 0;
  uint32_t reordered = 0;
  for (uint32_t i = 1; i < received; i++) {
    if (arrivals[i].came - arrivals[i - 1].came > gap) gap = arrivals[i].came - arrivals[i - 1].came;
    reordered += arrivals[i].number < arrivals[i - 1].number;
  }
  printf("{\"count\":%u,\"received\":%u,\"duplicates\":%u,\"reordered\":%u,\"longestGapMicros\":%.0f,\"packets\":[",
         count, received, duplicates, reordered, gap * 1e6);
  for (uint32_t i = 0; i < received; i++) {
    const struct arrival* a = &arrivals[i];
    printf("%s[%u,%.0f,%.1f]", i == 0 ? "" : ",", a->number, (a->sent - arrivals[0].sent) * 1e6,
           (a->came - a->sent) * 1e6);
  }
  printf("]}\n");
  fflush(stdout);
}

static void receive(const char* port) {
  const int fd = bound(SOCK_DGRAM, port);
  uint32_t run = 0, ended = 0, count = 0, received = 0, duplicates = 0;
  for (;;) {
    struct pollfd readable = {fd, POLLIN, 0};
    if (run != ended && poll(&readable, 1, SILENCE) == 0) {
      tell(count, received, duplicates);
      ended = run;
    }
    struct probe probe;
    char memory[MAX_SIZE];
    const ssize_t got = recv(fd, memory, sizeof memory, 0);
    const double came = now();
    if (got < (ssize_t)sizeof probe) continue;
    memcpy(&probe, memory, sizeof probe);
    if (probe.run == ended || probe.count > MAX_COUNT || probe.number >= probe.count) continue;
    if (probe.run != run) {
      run = probe.run;
      received = duplicates = 0;
      count = probe.count;
      memset(seen, 0, sizeof seen);
    }
    if (probe.end) {
      tell(count, received, duplicates);
      ended = run;
    } else if (seen[probe.number]) {
      duplicates++;
    } else {
      seen[probe.number] = 1;
      arrivals[received++] = (struct arrival){probe.number, probe.sent, came};
    }
  }
}

static void transmit(int fd, uint32_t count, double interval, size_t size) {
  char memory[MAX_SIZE] = {0};
  struct probe probe = {.run = (uint32_t)getpid(), .count = count};
  const double begun = now();
  for (uint32_t i = 0; i < count; i++) {
    sleep_until(begun + i * interval);
    probe.number = i;
    probe.sent = now();
    memcpy(memory, &probe, sizeof probe);
    send(fd, memory, size, 0);  // an address that has just gone is a loss, not an error
  }
  // What is still queued shall arrive before the end does; several ends, since one may get lost.
  sleep_until(now() + 0.1);
  probe.end = 1;
  memcpy(memory, &probe, sizeof probe);
  for (int i = 0; i < ENDS; i++) {
    send(fd, memory, size, 0);
    sleep_until(now() + 0.01);
  }
}

int main(int argc, char** argv) {
  prctl(PR_SET_TIMERSLACK, 1);
  if (argc == 3 && strcmp(argv[1], "receive") == 0) receive(argv[2]);
  if (argc == 7 && strcmp(argv[1], "send") == 0) {
    const int count = atoi(argv[4]), size = atoi(argv[6]);
    const double interval = atof(argv[5]) / 1e6;
    if (count > 0 && count <= MAX_COUNT && size >= (int)sizeof(struct probe) && size <= MAX_SIZE && interval > 0) {
      transmit(connected(SOCK_DGRAM, argv[2], argv[3]), (uint32_t)count, interval, (size_t)size);
      return 0;
    }
  }
  fprintf(stderr, "usage: udp-probe receive PORT | udp-probe send HOST PORT COUNT INTERVAL_US SIZE (of 24 to 1500)\n");
  return 2;
}
