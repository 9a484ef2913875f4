// TLS 1.3 by OpenSSL, AES-128-GCM, blocks of 128 KiB:
// `tls-bulk serve PORT CERTIFICATE KEY` and `tls-bulk send HOST PORT SECONDS STREAMS`.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "bulk.h"

static SSL_CTX* shared;

static void die_tls(const char* what) {
  fprintf(stderr, "%s\n", what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static SSL_CTX* context(const SSL_METHOD* method) {
  SSL_CTX* context = SSL_CTX_new(method);
  if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1) {
    die_tls("TLS context");
  }
  return context;
}

static void* receive(void* argument) {
  const int fd = (int)(intptr_t)argument;
  char* block = malloc(BLOCK);
  SSL* tls = SSL_new(shared);
  SSL_set_fd(tls, fd);
  unsigned char wanted;
  if (block == NULL || SSL_accept(tls) != 1 || SSL_read(tls, &wanted, 1) != 1) die_tls("SSL_accept");
  count_bytes(1, wanted);
  int got;
  while ((got = SSL_read(tls, block, BLOCK)) > 0) count_bytes((unsigned long long)got, wanted);
  count_end();
  SSL_free(tls);
  free(block);
  close(fd);
  return NULL;
}

static void* transmit(void* argument) {
  char* block = calloc(1, BLOCK);
  SSL* tls = SSL_new(shared);
  const int fd = connected(SOCK_STREAM, host, port);
  SSL_set_fd(tls, fd);
  const unsigned char wanted = (unsigned char)streams;
  if (block == NULL || SSL_connect(tls) != 1 || SSL_write(tls, &wanted, 1) != 1) die_tls("SSL_connect");
  while (now() < end) {
    if (SSL_write(tls, block, BLOCK) != BLOCK) die_tls("SSL_write");
  }
  SSL_shutdown(tls);
  SSL_free(tls);
  free(block);
  close(fd);
  return argument;
}

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 5 && strcmp(argv[1], "serve") == 0) {
    shared = context(TLS_server_method());
    if (SSL_CTX_use_certificate_file(shared, argv[3], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(shared, argv[4], SSL_FILETYPE_PEM) != 1) {
      die_tls("certificate");
    }
    serve_all(argv[2], receive);
  }
  if (argc == 6 && strcmp(argv[1], "send") == 0) {
    shared = context(TLS_client_method());
    send_all(argv, transmit);
    return 0;
  }
  fprintf(stderr, "usage: tls-bulk serve PORT CERTIFICATE KEY | tls-bulk send HOST PORT SECONDS STREAMS\n");
  return 2;
}
