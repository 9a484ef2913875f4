// Plain TCP: `tcp-bulk serve PORT` counts what comes, `tcp-bulk send HOST PORT SECONDS` writes blocks all the
// time.
#include "common.h"

static char block[BLOCK];

static void serve(const char* port) {
  const int listener = listen_on(port);
  for (;;) {
    const int fd = accept(listener, NULL, NULL);
    if (fd < 0) die("accept");
    unsigned long long bytes = 0;
    double first = 0;
    ssize_t got;
    while ((got = read(fd, block, sizeof block)) > 0) {
      if (bytes == 0) first = now();
      bytes += (unsigned long long)got;
    }
    report(bytes, now() - first);
    close(fd);
  }
}

static void send_to(const char* host, const char* port, double seconds) {
  const int fd = connect_to(host, port);
  const double end = now() + seconds;
  while (now() < end) {
    for (size_t at = 0; at < sizeof block;) {
      const ssize_t put = write(fd, block + at, sizeof block - at);
      if (put <= 0) die("write");
      at += (size_t)put;
    }
  }
  close(fd);
}

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 3 && strcmp(argv[1], "serve") == 0) serve(argv[2]);
  if (argc == 5 && strcmp(argv[1], "send") == 0) {
    send_to(argv[2], argv[3], atof(argv[4]));
    return 0;
  }
  fprintf(stderr, "usage: tcp-bulk serve PORT | tcp-bulk send HOST PORT SECONDS\n");
  return 2;
}
