// TLS 1.3 by OpenSSL, AES-128-GCM, blocks of 128 KiB:
// `tls-bulk serve PORT CERTIFICATE KEY` and `tls-bulk send HOST PORT SECONDS`.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common.h"

static char block[BLOCK];

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

static void serve(const char* port, const char* certificate, const char* key) {
  SSL_CTX* server = context(TLS_server_method());
  if (SSL_CTX_use_certificate_file(server, certificate, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_use_PrivateKey_file(server, key, SSL_FILETYPE_PEM) != 1) {
    die_tls("certificate");
  }
  const int listener = listen_on(port);
  for (;;) {
    const int fd = accept(listener, NULL, NULL);
    if (fd < 0) die("accept");
    SSL* tls = SSL_new(server);
    SSL_set_fd(tls, fd);
    if (SSL_accept(tls) != 1) die_tls("SSL_accept");
    unsigned long long bytes = 0;
    double first = 0;
    int got;
    while ((got = SSL_read(tls, block, sizeof block)) > 0) {
      if (bytes == 0) first = now();
      bytes += (unsigned long long)got;
    }
    report(bytes, now() - first);
    SSL_free(tls);
    close(fd);
  }
}

static void send_to(const char* host, const char* port, double seconds) {
  SSL_CTX* client = context(TLS_client_method());
  SSL* tls = SSL_new(client);
  SSL_set_fd(tls, connect_to(host, port));
  if (SSL_connect(tls) != 1) die_tls("SSL_connect");
  const double end = now() + seconds;
  while (now() < end) {
    if (SSL_write(tls, block, sizeof block) != sizeof block) die_tls("SSL_write");
  }
  SSL_shutdown(tls);
  close(SSL_get_fd(tls));
}

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 5 && strcmp(argv[1], "serve") == 0) serve(argv[2], argv[3], argv[4]);
  if (argc == 5 && strcmp(argv[1], "send") == 0) {
    send_to(argv[2], argv[3], atof(argv[4]));
    return 0;
  }
  fprintf(stderr, "usage: tls-bulk serve PORT CERTIFICATE KEY | tls-bulk send HOST PORT SECONDS\n");
  return 2;
}
