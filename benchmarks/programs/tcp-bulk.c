// Plain TCP: `tcp-bulk serve PORT` counts what comes, `tcp-bulk send HOST PORT SECONDS STREAMS` writes blocks all the
// time.
#include "bulk.h"

static void* receive(void* argument) {
  const int fd = (int)(intptr_t)argument;
  char* block = malloc(BLOCK);
  unsigned char wanted;
  if (block == NULL || read(fd, &wanted, 1) != 1) die("the first byte of a stream");
  count_bytes(1, wanted);
  ssize_t got;
  while ((got = read(fd, block, BLOCK)) > 0) count_bytes((unsigned long long)got, wanted);
  count_end();
  free(block);
  close(fd);
  return NULL;
}

static void* transmit(void* argument) {
  char* block = calloc(1, BLOCK);
  const int fd = connected(SOCK_STREAM, host, port);
  const unsigned char wanted = (unsigned char)streams;
  if (block == NULL || write(fd, &wanted, 1) != 1) die("write");
  while (now() < end) {
    for (size_t at = 0; at < BLOCK;) {
      const ssize_t put = write(fd, block + at, BLOCK - at);
      if (put <= 0) die("write");
      at += (size_t)put;
    }
  }
  free(block);
  close(fd);
  return argument;
}

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 3 && strcmp(argv[1], "serve") == 0) serve_all(argv[2], receive);
  if (argc == 6 && strcmp(argv[1], "send") == 0) {
    send_all(argv, transmit);
    return 0;
  }
  fprintf(stderr, "usage: tcp-bulk serve PORT | tcp-bulk send HOST PORT SECONDS STREAMS\n");
  return 2;
}
