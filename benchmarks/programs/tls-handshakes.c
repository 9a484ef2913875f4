// TLS 1.3 handshakes with certificates of both sides (ECDSA P-256, ECDHE P-256), in memory, on one thread.
// `tls-handshakes CERTIFICATE KEY SECONDS` prints: handshakes, CPU seconds of the server, CPU seconds of the
// client.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common.h"

static void die_tls(const char* what) {
  fprintf(stderr, "%s\n", what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static SSL_CTX* context(const SSL_METHOD* method, const char* certificate, const char* key) {
  SSL_CTX* context = SSL_CTX_new(method);
  if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
      SSL_CTX_set1_groups_list(context, "P-256") != 1 ||
      SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_load_verify_locations(context, certificate, NULL) != 1) {
    die_tls("TLS context");
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  SSL_CTX_set_num_tickets(context, 0);  // each handshake is a full one
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  return context;
}

static int step(SSL* tls, double* spent) {
  const double begun = cpu();
  const int done = SSL_do_handshake(tls);
  *spent += cpu() - begun;
  if (done == 1) return 1;
  const int why = SSL_get_error(tls, done);
  if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) die_tls("handshake");
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: tls-handshakes CERTIFICATE KEY SECONDS\n");
    return 2;
  }
  SSL_CTX* servers = context(TLS_server_method(), argv[1], argv[2]);
  SSL_CTX* clients = context(TLS_client_method(), argv[1], argv[2]);
  double server_spent = 0, client_spent = 0;
  unsigned long handshakes = 0;
  for (const double end = now() + atof(argv[3]); now() < end; handshakes++) {
    double begun = cpu();
    SSL* server = SSL_new(servers);
    SSL_set_accept_state(server);
    server_spent += cpu() - begun;
    begun = cpu();
    SSL* client = SSL_new(clients);
    SSL_set_connect_state(client);
    client_spent += cpu() - begun;
    BIO *here, *there;
    if (BIO_new_bio_pair(&here, 0, &there, 0) != 1) die_tls("BIO pair");
    SSL_set_bio(server, here, here);
    SSL_set_bio(client, there, there);
    for (int both = 0; both != 3;) {
      if (step(client, &client_spent)) both |= 1;
      if (step(server, &server_spent)) both |= 2;
    }
    if (SSL_get_verify_result(server) != X509_V_OK) die_tls("the server did not verify the client");
    SSL_free(server);
    SSL_free(client);
  }
  printf("%lu %.6f %.6f\n", handshakes, server_spent, client_spent);
  return 0;
}
