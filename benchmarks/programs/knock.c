// Exchanges that are attempted and come to nothing: `knock PATTERNS ADDRESS PORT RATE SECONDS` sends RATE I1s a second,
// from every local address that PATTERNS names, and an I2 for each R1: of an exchange that was completed once, with the
// solution of the new puzzle if HASHES hashes find one, and with a wrong HIP_MAC. Prints a line of JSON. With "blind"
// behind that it waits for no R1: it hashes as much for an old puzzle, and sends as many packets of the same sizes.
//
// PATTERNS: a line "from ADDRESS" for each local address, then lines "i2 HEX", a HIP packet each.
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sys/epoll.h>

#include "common.h"

// RFC 7401 5.1 and 5.2, RFC 9028 5.1.
enum { MARKER = 4, HEADER = 40, SENDER = 8, RECEIVER = 24, HIT = 16, I1 = 1, R1 = 2, MAX_PACKET = 1500 };
enum { R1_COUNTER = 129, PUZZLE = 257, SOLUTION = 321, DH_GROUP_LIST = 511, HIP_MAC = 61505 };
// What an attacker spends on one puzzle, and a difficulty that this never suffices for.
enum { HASHES = 16, NEVER = 64 };
enum { MAX_MEMBERS = 1 << 15, SLOTS = 1 << 16, MAX_ADDRESSES = 64, TICK_MICROS = 2000 };

struct member {
  unsigned char i2[MAX_PACKET];
  size_t length;
};

static struct member members[MAX_MEMBERS];
static int count;
// Members by their HIT; 0: nobody.
static int slots[SLOTS];
static int sockets[MAX_ADDRESSES], socketCount;
static struct sockaddr_in target;
static unsigned long long i1s, r1s, i2s, solved;
static int k, blind;

static unsigned slotOf(const unsigned char* hit) {
  return ((unsigned)hit[14] << 8 | hit[15]) % SLOTS;
}

static unsigned u16(const unsigned char* at) {
  return (unsigned)at[0] << 8 | at[1];
}

// The contents of a parameter, and their length; NULL when the packet has none.
static unsigned char* parameter(unsigned char* packet, size_t length, unsigned type, size_t* size) {
  for (size_t at = HEADER; at + 4 <= length; at += 4 + ((u16(packet + at + 2) + 4 + 7) / 8 * 8 - 4)) {
    *size = u16(packet + at + 2);
    if (at + 4 + *size > length) return NULL;
    if (u16(packet + at) == type) return packet + at + 4;
  }
  return NULL;
}

static void give(int fd, const unsigned char* packet, size_t length) {
  unsigned char datagram[MARKER + MAX_PACKET] = {0};
  memcpy(datagram + MARKER, packet, length);
  sendto(fd, datagram, MARKER + length, 0, (struct sockaddr*)&target, sizeof target);
}

static void answer(int fd, struct member made, const unsigned char* puzzle, size_t size);

static void knock(int fd, const struct member* member) {
  unsigned char i1[HEADER + 8] = {0};
  memcpy(i1, member->i2, HEADER);
  i1[1] = (HEADER + 8 - 8) / 8;
  i1[2] = I1;
  const unsigned char groups[] = {DH_GROUP_LIST >> 8, DH_GROUP_LIST & 255, 0, 1, 7};
  memcpy(i1 + HEADER, groups, sizeof groups);
  give(fd, i1, sizeof i1);
  i1s++;
  if (!blind) return;
  struct member made = *member;
  size_t known;
  unsigned char old[MAX_PACKET];
  const unsigned char* solution = parameter(made.i2, made.length, SOLUTION, &known);
  if (solution == NULL || known > sizeof old) return;
  memcpy(old, solution, known);
  old[0] = NEVER;
  answer(fd, made, old, 4 + (known - 4) / 2);
}

// RFC 7401 4.1.2: the low-order bits of RHASH(I | HIT-I | HIT-R | J), of the Responder's HIT suite, whose length tells
// which it is.
static int right(const unsigned char* text, size_t length, size_t size, int bits) {
  unsigned char digest[SHA512_DIGEST_LENGTH];
  EVP_Digest(text, length, digest, NULL, size == 32 ? EVP_sha256() : EVP_sha384(), NULL);
  for (size_t at = size; bits > 0; bits -= 8) {
    const unsigned char mask = bits >= 8 ? 255 : (unsigned char)((1 << bits) - 1);
    if ((digest[--at] & mask) != 0) return 0;
  }
  return 1;
}

// The I2 with J for this PUZZLE: K, a reserved byte, OPAQUE, #I.
static void answer(int fd, struct member made, const unsigned char* puzzle, size_t size) {
  size_t known;
  unsigned char* solution = parameter(made.i2, made.length, SOLUTION, &known);
  const size_t digits = size - 4;
  if (solution == NULL || known != 4 + 2 * digits) return;
  memcpy(solution, puzzle, size);
  solution[1] = 0;
  k = puzzle[0];
  unsigned char text[2 * SHA512_DIGEST_LENGTH + 2 * HIT];
  unsigned char* j = text + digits + 2 * HIT;
  memcpy(text, puzzle + 4, digits);
  memcpy(text + digits, made.i2 + SENDER, 2 * HIT);
  for (size_t i = 0; i < digits; i++) j[i] = (unsigned char)random();
  for (int i = 0; i < HASHES; i++) {
    j[0]++;
    if (!right(text, 2 * digits + 2 * HIT, digits, k)) continue;
    solved++;
    break;
  }
  memcpy(solution + size, j, digits);
  unsigned char* mac = parameter(made.i2, made.length, HIP_MAC, &known);
  if (mac != NULL) mac[0] ^= 1;
  give(fd, made.i2, made.length);
  i2s++;
}

static void heard(int fd, unsigned char* r1, size_t length) {
  size_t size, had;
  const unsigned char* puzzle = parameter(r1, length, PUZZLE, &size);
  int at = slots[slotOf(r1 + RECEIVER)];
  while (at != 0 && memcmp(members[at].i2 + SENDER, r1 + RECEIVER, HIT) != 0) at = at + 1 < count ? at + 1 : 0;
  if (puzzle == NULL || size > MAX_PACKET || at == 0) return;
  r1s++;
  struct member made = members[at];
  size_t known;
  const unsigned char* counter = parameter(r1, length, R1_COUNTER, &had);
  unsigned char* echoed = parameter(made.i2, made.length, R1_COUNTER, &known);
  if (counter != NULL && echoed != NULL && had == known) memcpy(echoed, counter, had);
  answer(fd, made, puzzle, size);
}

static void from(const char* address) {
  struct sockaddr_in local = {.sin_family = AF_INET};
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), room = 1 << 20;
  if (fd < 0 || inet_pton(AF_INET, address, &local.sin_addr) != 1) die(address);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (bind(fd, (struct sockaddr*)&local, sizeof local) != 0) die(address);
  if (socketCount < MAX_ADDRESSES) sockets[socketCount++] = fd;
}

static void pattern(const char* hex) {
  if (count >= MAX_MEMBERS) return;
  struct member* member = &members[count];
  unsigned byte;
  for (member->length = 0; member->length < MAX_PACKET && sscanf(hex, "%2x", &byte) == 1; hex += 2)
    member->i2[member->length++] = (unsigned char)byte;
  unsigned slot = slotOf(member->i2 + SENDER);
  if (slots[slot] == 0) slots[slot] = count;
  count++;
}

static void read_patterns(const char* path) {
  static char line[2 * MAX_PACKET + 64];
  FILE* file = fopen(path, "r");
  if (file == NULL) die(path);
  count = 1;
  while (fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "from ", 5) == 0) from(line + 5);
    if (strncmp(line, "i2 ", 3) == 0) pattern(line + 3);
  }
  fclose(file);
}

static void listen_until(int poll, double until) {
  struct epoll_event events[MAX_ADDRESSES];
  unsigned char datagram[MARKER + MAX_PACKET];
  const int ready = epoll_wait(poll, events, MAX_ADDRESSES, 0);
  for (int i = 0; i < ready; i++) {
    for (ssize_t got; (got = recv(events[i].data.fd, datagram, sizeof datagram, 0)) > 0;)
      if (got >= MARKER + HEADER && datagram[MARKER + 2] == R1)
        heard(events[i].data.fd, datagram + MARKER, (size_t)got - MARKER);
  }
  sleep_until(until);
}

int main(int argc, char** argv) {
  blind = argc == 7 && strcmp(argv[6], "blind") == 0;
  if (argc != 6 && !blind) {
    fprintf(stderr, "usage: knock PATTERNS ADDRESS PORT RATE SECONDS [blind]\n");
    return 2;
  }
  read_patterns(argv[1]);
  target.sin_family = AF_INET;
  target.sin_port = htons((unsigned short)atoi(argv[3]));
  if (inet_pton(AF_INET, argv[2], &target.sin_addr) != 1) die(argv[2]);
  if (count < 2 || socketCount == 0) die("no patterns");
  const int poll = epoll_create1(0);
  for (int i = 0; i < socketCount; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = sockets[i]};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, sockets[i], &event) != 0) die("epoll_ctl");
  }
  const double begun = now(), rate = atof(argv[4]), seconds = atof(argv[5]);
  int next = 0;
  for (double t = begun; t < begun + seconds; t = now()) {
    const unsigned long long wanted = (unsigned long long)((t - begun) * rate);
    while (i1s < wanted) {
      knock(sockets[next % socketCount], &members[1 + next % (count - 1)]);
      next++;
    }
    listen_until(poll, t + TICK_MICROS / 1e6);
  }
  printf("{\"seconds\":%.3f,\"i1\":%llu,\"r1\":%llu,\"i2\":%llu,\"solved\":%llu,\"k\":%d}\n", now() - begun, i1s, r1s,
         i2s, solved, k);
  return 0;
}
