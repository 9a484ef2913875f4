// What all programs share: the clock, sockets, and how to give up.
#ifndef HIPD_BENCHMARKS_COMMON_H_
#define HIPD_BENCHMARKS_COMMON_H_

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Seconds on a clock that all namespaces of a machine share.
static inline double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void sleep_until(double when) {
  const struct timespec t = {(time_t)when, (long)((when - (double)(time_t)when) * 1e9)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
  }
}

static inline void die(const char* what) {
  perror(what);
  exit(1);
}

// The same congestion control for every contestant, whatever the machine's default is.
static inline void cubic(int fd) {
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0) die("setsockopt TCP_CONGESTION cubic");
}

// A socket of both families on a port; says "listening" when it is ready.
static inline int bound(int type, const char* port) {
  const int fd = socket(AF_INET6, type, 0);
  const int on = 1, off = 0;
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (type == SOCK_STREAM) cubic(fd);
  struct sockaddr_in6 any;
  memset(&any, 0, sizeof any);
  any.sin6_family = AF_INET6;
  any.sin6_port = htons((unsigned short)atoi(port));
  if (bind(fd, (struct sockaddr*)&any, sizeof any) != 0) die("bind");
  if (type == SOCK_STREAM && listen(fd, 64) != 0) die("listen");
  printf("listening\n");
  fflush(stdout);
  return fd;
}

static inline int connected(int type, const char* host, const char* port) {
  struct addrinfo hints, *found;
  memset(&hints, 0, sizeof hints);
  hints.ai_socktype = type;
  hints.ai_flags = AI_NUMERICHOST;
  const int failed = getaddrinfo(host, port, &hints, &found);
  if (failed != 0) {
    fprintf(stderr, "%s: %s\n", host, gai_strerror(failed));
    exit(1);
  }
  const int fd = socket(found->ai_family, type, 0);
  if (fd < 0) die("socket");
  if (type == SOCK_STREAM) cubic(fd);
  if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) die("connect");
  freeaddrinfo(found);
  return fd;
}

#endif  // HIPD_BENCHMARKS_COMMON_H_
