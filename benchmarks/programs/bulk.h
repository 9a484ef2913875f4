// Bulk streams: some connections at once make one run, and the sink counts what came of all of them, by tenths of a
// second. Each stream begins with one byte that says how many there are in its run. For each run the sink prints one
// line:
// {"bytes":N,"seconds":S,"longestGapMicros":N,"tenths":[bytes,...]}, from the first byte of the run to its last. The gap is
// the longest time in which nothing came.
#ifndef HIPD_BENCHMARKS_BULK_H_
#define HIPD_BENCHMARKS_BULK_H_

#include <pthread.h>

#include "common.h"

enum { BLOCK = 128 * 1024, TENTHS = 1200, MAX_STREAMS = 64 };

struct count {
  pthread_mutex_t lock;
  int streams, ended;
  double first, last, gap;
  unsigned long long bytes, tenths[TENTHS];
};

static struct count count = {.lock = PTHREAD_MUTEX_INITIALIZER};

// The first `streams` is that of the first stream; ends the run when all have ended.
static inline void count_bytes(unsigned long long bytes, unsigned char streams) {
  const double when = now();
  pthread_mutex_lock(&count.lock);
  if (count.streams == 0) {
    count.streams = streams;
    count.first = count.last = when;
  }
  if (when - count.last > count.gap) count.gap = when - count.last;
  const int tenth = (int)((when - count.first) * 10);
  count.bytes += bytes;
  if (tenth < TENTHS) count.tenths[tenth] += bytes;
  count.last = when;
  pthread_mutex_unlock(&count.lock);
}

static inline void count_end(void) {
  pthread_mutex_lock(&count.lock);
  if (++count.ended == count.streams) {
    printf("{\"bytes\":%llu,\"seconds\":%.6f,\"longestGapMicros\":%.0f,\"tenths\":[", count.bytes, count.last - count.first,
           count.gap * 1e6);
    int used = TENTHS;
    while (used > 0 && count.tenths[used - 1] == 0) used--;
    for (int i = 0; i < used; i++) printf(i == 0 ? "%llu" : ",%llu", count.tenths[i]);
    printf("]}\n");
    fflush(stdout);
    count.streams = count.ended = 0;
    count.bytes = 0;
    count.gap = 0;
    memset(count.tenths, 0, sizeof count.tenths);
  }
  pthread_mutex_unlock(&count.lock);
}

// Serves each connection in a thread of its own.
static inline void serve_all(const char* port, void* (*stream)(void*)) {
  const int listener = bound(SOCK_STREAM, port);
  for (;;) {
    const int fd = accept(listener, NULL, NULL);
    if (fd < 0) die("accept");
    pthread_t thread;
    if (pthread_create(&thread, NULL, stream, (void*)(intptr_t)fd) != 0) die("pthread_create");
    pthread_detach(thread);
  }
}

// What `send HOST PORT SECONDS STREAMS` asks for; `end` is the moment when streams end.
static const char *host, *port;
static double end;
static int streams;

// Runs `stream` STREAMS times at once and waits for all.
static inline void send_all(char** argv, void* (*stream)(void*)) {
  host = argv[2];
  port = argv[3];
  end = now() + atof(argv[4]);
  streams = atoi(argv[5]);
  pthread_t threads[MAX_STREAMS];
  if (streams < 1 || streams > MAX_STREAMS) {
    fprintf(stderr, "%d streams: 1 to %d are possible\n", streams, MAX_STREAMS);
    exit(2);
  }
  for (int i = 0; i < streams; i++) {
    if (pthread_create(&threads[i], NULL, stream, NULL) != 0) die("pthread_create");
  }
  for (int i = 0; i < streams; i++) pthread_join(threads[i], NULL);
}

#endif  // HIPD_BENCHMARKS_BULK_H_
