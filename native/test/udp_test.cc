// Sockets and batches, on the loopback interface.
#include "udp.h"

#include <poll.h>

#include <cstring>
#include <memory>

#include "check.h"
#include "favourite.h"
#include "rawip.h"

using namespace hipd;

namespace {

std::uint16_t portOf(int fd) {
  SocketAddress own;
  own.length = sizeof own.v6;
  CHECK(getsockname(fd, &own.any, &own.length) == 0);
  return own.endpoint().port;
}

void batchesArriveWhole() {
  const Socket from = openUdp(4, 0, false);
  const Socket to = openUdp(4, 0, false);
  CHECK(from.error.empty() && to.error.empty());
  Path path;
  path.local.address = {4, {127, 0, 0, 1}};
  path.remote = {{4, {127, 0, 0, 1}}, portOf(to.fd.get())};
  const Destination destination(path);
  const auto sends = std::make_unique<SendBatch>();
  const auto receives = std::make_unique<ReceiveBatch>();
  sends->use(from.fd.get());
  std::size_t queued = 0;
  while (!sends->full()) {
    const Bytes room = sends->room();
    const std::size_t length = 20 * queued;
    for (std::size_t i = 0; i < length; i++) room[i] = static_cast<std::uint8_t>(queued);
    sends->add(length, destination, 0, static_cast<std::uint32_t>(queued));
    queued++;
  }
  CHECK_EQ(queued, kBatch);
  CHECK_EQ(sends->messages(), kBatch);
  CHECK_EQ(sends->flush([](std::uint32_t, std::size_t, int) { CHECK(false); }), 1u);
  CHECK(sends->empty());
  std::size_t seen = 0;
  while (seen < queued) {
    pollfd ready{to.fd.get(), POLLIN, 0};
    CHECK(poll(&ready, 1, 5000) == 1);
    const std::size_t count = receives->receive(to.fd.get());
    for (std::size_t i = 0; i < count; i++, seen++) {
      const Frame frame = receives->frame(i);
      CHECK_EQ(frame.length, 20 * seen);
      CHECK(frame.headroom() >= kHeadroom && frame.tailroom() >= kTailroom);
      if (seen > 0) CHECK_EQ(frame.data()[frame.length - 1], seen);
      CHECK_EQ(receives->from(i).port, portOf(from.fd.get()));
      CHECK(text(receives->to(i)) == "127.0.0.1");
      CHECK(!receives->truncated(i));
    }
  }
  CHECK_EQ(receives->receive(to.fd.get()), 0u);
}

/// Many small messages come in one call, few large ones, by what came before.
void batchesFollowTheSize() {
  const Socket from = openUdp(4, 0, false);
  const Socket to = openUdp(4, 0, false);
  const SocketAddress address(Endpoint{{4, {127, 0, 0, 1}}, portOf(to.fd.get())});
  const std::vector<std::uint8_t> bytes(50'000);
  const auto sendMany = [&](std::size_t count, std::size_t length) {
    for (std::size_t i = 0; i < count; i++)
      CHECK(sendto(from.fd.get(), bytes.data(), length, 0, &address.any, address.length) >= 0);
  };
  const auto receives = std::make_unique<ReceiveBatch>();
  const auto expect = [&](std::size_t count, std::size_t length, bool drained) {
    CHECK_EQ(receives->receive(to.fd.get()), count);
    CHECK_EQ(receives->bytes(), count * length);
    CHECK_EQ(receives->drained(), drained);
  };
  sendMany(kLeastReceiveBatch + kReceiveBatch + 10, 100);
  expect(kLeastReceiveBatch, 100, false);
  expect(kReceiveBatch, 100, false);
  expect(10, 100, true);
  expect(0, 0, true);
  sendMany(2, bytes.size());
  expect(2, bytes.size(), true);
  sendMany(3 * kLeastReceiveBatch, 0);
  const std::size_t some = kReceiveBytes / bytes.size();
  expect(some, 0, false);
  expect(some, 0, false);
  expect(3 * kLeastReceiveBatch - 2 * some, 0, true);
}

/// What the kernel refuses is told one by one, and the others leave.
void refusalsAreTold() {
  const Socket from = openUdp(4, 0, false);
  const Socket to = openUdp(4, 0, false);
  const auto sends = std::make_unique<SendBatch>();
  sends->use(from.fd.get());
  Path path;
  path.remote = {{4, {127, 0, 0, 1}}, portOf(to.fd.get())};
  const Destination good(path);
  path.local.address = {4, {192, 0, 2, 123}};  // not ours
  const Destination bad(path);
  for (std::uint32_t tag = 0; tag < 6; tag++) sends->add(10 + tag, tag % 3 == 1 ? bad : good, 0, tag);
  std::vector<std::uint32_t> refused;
  sends->flush([&](std::uint32_t tag, std::size_t length, int error) {
    CHECK(error > 0);
    CHECK_EQ(length, 10 + tag);
    refused.push_back(tag);
  });
  CHECK((refused == std::vector<std::uint32_t>{1, 4}));
  const auto receives = std::make_unique<ReceiveBatch>();
  pollfd ready{to.fd.get(), POLLIN, 0};
  CHECK(poll(&ready, 1, 5000) == 1);
  CHECK_EQ(receives->receive(to.fd.get()), 4u);

  sends->use(-1);
  sends->add(1, good, 0, 9);
  int count = 0;
  sends->flush([&](std::uint32_t, std::size_t, int error) {
    CHECK_EQ(error, EAFNOSUPPORT);
    count++;
  });
  CHECK_EQ(count, 1);
}

/// What is alike leaves as one message, arrives as one where the kernel joins it, and every datagram is itself again.
void likeDatagramsShareMessages(int family) {
  const Socket from = openUdp(family, 0, false);
  const Socket to = openUdp(family, 0, false);
  if (from.unsupported || !knowsSegmentation(from.fd.get()) || !receiveMany(to.fd.get())) return;
  Path path;
  path.remote.address = family == 4 ? Address{4, {127, 0, 0, 1}} : Address{6, {}};
  if (family == 6) path.remote.address.bytes[15] = 1;
  path.remote.port = portOf(to.fd.get());
  const Destination one(path);
  const Destination other(path);
  const auto sends = std::make_unique<SendBatch>();
  sends->use(from.fd.get());
  sends->allowSegmentation(true);
  struct Sent {
    std::size_t length;
    std::uint8_t trafficClass;
    std::uint8_t content;
  };
  std::vector<Sent> sent;
  const auto add = [&](std::size_t length, std::uint8_t trafficClass, const Destination& where) {
    CHECK(!sends->full());
    const auto content = static_cast<std::uint8_t>(sent.size());
    std::memset(sends->room().data(), content, length);
    sends->add(length, where, trafficClass, content);
    sent.push_back({length, trafficClass, content});
  };
  for (int i = 0; i < 10; i++) add(1000, 0, one);
  CHECK_EQ(sends->messages(), 1u);
  add(999, 0, one);  // the last of its message
  CHECK_EQ(sends->messages(), 1u);
  add(999, 0, one);
  CHECK_EQ(sends->messages(), 2u);
  add(1000, 0, one);  // longer than the first
  CHECK_EQ(sends->messages(), 3u);
  add(1000, 0xb9, one);
  CHECK_EQ(sends->messages(), 4u);
  add(1000, 0xb9, other);
  CHECK_EQ(sends->messages(), 5u);
  for (std::size_t i = 0; i < kSegmentsOfMessage; i++) add(8, 2, one);
  CHECK_EQ(sends->messages(), 6u);
  add(8, 2, one);
  CHECK_EQ(sends->messages(), 7u);
  for (std::size_t bytes = 0; bytes + 9000 <= kBytesOfMessage; bytes += 9000) add(9000, 0, one);
  CHECK_EQ(sends->messages(), 8u);
  add(9000, 0, one);
  CHECK_EQ(sends->messages(), 9u);
  CHECK_EQ(sends->flush([](std::uint32_t, std::size_t, int) { CHECK(false); }), 1u);
  CHECK_EQ(sends->divided(), 0u);

  const auto receives = std::make_unique<ReceiveBatch>();
  std::size_t seen = 0;
  std::size_t messages = 0;
  while (seen < sent.size()) {
    pollfd ready{to.fd.get(), POLLIN, 0};
    CHECK(poll(&ready, 1, 5000) == 1);
    const std::size_t count = receives->receive(to.fd.get());
    for (std::size_t i = 0; i < count; i++, messages++) {
      const Frame frame = receives->frame(i);
      CHECK(!receives->truncated(i));
      CHECK(frame.headroom() >= kHeadroom && frame.tailroom() >= kTailroom);
      const std::size_t segment = receives->segment(i) == 0 ? frame.length : receives->segment(i);
      for (std::size_t at = 0; at < frame.length; at += segment, seen++) {
        CHECK(seen < sent.size());
        const std::size_t length = std::min(segment, frame.length - at);
        CHECK_EQ(length, sent[seen].length);
        CHECK_EQ(receives->trafficClass(i), sent[seen].trafficClass);
        for (std::size_t k = 0; k < length; k++) CHECK_EQ(frame.data()[at + k], sent[seen].content);
      }
    }
  }
  CHECK_EQ(messages, 9u);
}

/// The kernel says no to a message of many: all leave one by one, and the next messages do not ask again.
void refusedMessagesAreDivided() {
  const Socket from = openUdp(4, 0, false);
  const Socket to = openUdp(4, 0, false);
  if (!knowsSegmentation(from.fd.get())) return;
  const int on = 1;
  // Segmentation needs checksums: with them off the kernel answers EINVAL or EIO.
  CHECK(setsockopt(from.fd.get(), SOL_SOCKET, SO_NO_CHECK, &on, sizeof on) == 0);
  Path path;
  path.remote = {{4, {127, 0, 0, 1}}, portOf(to.fd.get())};
  const Destination destination(path);
  const auto sends = std::make_unique<SendBatch>();
  sends->use(from.fd.get());
  sends->allowSegmentation(true);
  for (std::uint32_t i = 0; i < 5; i++) sends->add(100, destination, 0, i);
  CHECK_EQ(sends->messages(), 1u);
  sends->flush([](std::uint32_t, std::size_t, int) { CHECK(false); });
  CHECK_EQ(sends->divided(), 1u);
  for (std::uint32_t i = 0; i < 5; i++) sends->add(100, destination, 0, i);
  CHECK_EQ(sends->messages(), 5u);
  sends->flush([](std::uint32_t, std::size_t, int) { CHECK(false); });
  CHECK_EQ(sends->divided(), 1u);
  const auto receives = std::make_unique<ReceiveBatch>();
  std::size_t seen = 0;
  while (seen < 10) {
    pollfd ready{to.fd.get(), POLLIN, 0};
    CHECK(poll(&ready, 1, 5000) == 1);
    const std::size_t count = receives->receive(to.fd.get());
    for (std::size_t i = 0; i < count; i++, seen++) CHECK_EQ(receives->frame(i).length, 100u);
  }
}

void usedPortIsNamed() {
  const Socket first = openUdp(4, 0, false);
  const std::uint16_t port = portOf(first.fd.get());
  const Socket second = openUdp(4, port, false);
  CHECK(second.error.find(std::to_string(port)) != std::string::npos);
  CHECK(second.error.find("in use") != std::string::npos);
  CHECK(!second.unsupported);
}

/// Sends one byte between sockets of the loopback interface.
void sendByte(int fd, const Endpoint& to, char byte) {
  const SocketAddress address(to);
  CHECK_EQ(sendto(fd, &byte, 1, 0, &address.any, address.length), 1);
}

/// All bytes that wait, in order.
std::string bytesOf(int fd) {
  std::string bytes;
  for (char byte; recv(fd, &byte, 1, MSG_DONTWAIT) == 1;) bytes += byte;
  return bytes;
}

void connectedSocketTakesItsPeers(int family) {
  const Socket shared = openUdp(family, 0, false);
  const Socket peer = openUdp(family, 0, false);
  const Socket other = openUdp(family, 0, false);
  if (shared.unsupported) return;
  Address here{4, {127, 0, 0, 1}};
  if (family == 6) here = {6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  const Endpoint local{here, portOf(shared.fd.get())};
  // Where it would have a smaller buffer, there is none.
  const auto resize = [&](int bytes) {
    return setsockopt(shared.fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0;
  };
  if (resize(2 * kSocketBuffer)) {
    CHECK(!openBeside(shared.fd.get(), here).valid());
    CHECK(resize(kSocketBuffer));
  } else {
    std::puts("  skipped: a favourite's buffer: needs CAP_NET_ADMIN");
  }
  sendByte(peer.fd.get(), local, '1');
  const Fd near = openBeside(shared.fd.get(), here);
  CHECK(near.valid() && bindBeside(near.get(), shared.fd.get(), local));
  sendByte(peer.fd.get(), local, '2');
  sendByte(other.fd.get(), local, '3');
  CHECK(connectTo(near.get(), {here, portOf(peer.fd.get())}));
  sendByte(peer.fd.get(), local, '4');
  sendByte(other.fd.get(), local, '5');
  // Nothing is lost, and shared, near, shared is the order of arrival.
  CHECK(bytesOf(shared.fd.get()) == "15");
  CHECK(bytesOf(near.get()) == "234");
  sendByte(peer.fd.get(), local, '6');
  turnAside(near.get());
  sendByte(peer.fd.get(), local, '7');
  CHECK(bytesOf(near.get()) == "6");
  CHECK(bytesOf(shared.fd.get()) == "7");
  // The port is as closed to others as before.
  CHECK(openUdp(family, local.port, false).error.find("in use") != std::string::npos);
  const Fd thief(::socket(family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  CHECK(setsockopt(thief.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  CHECK(setsockopt(thief.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
  const SocketAddress address(local);
  CHECK(bind(thief.get(), &address.any, address.length) < 0);
}

/// Somebody to whom we sent is gone: the kernel tells it at the next call, before what waits.
void errorsHideNothing() {
  const Socket from = openUdp(4, 0, false);
  const Address here{4, {127, 0, 0, 1}};
  Endpoint gone{here, 0};
  {
    const Socket other = openUdp(4, 0, false);
    gone.port = portOf(other.fd.get());
  }
  const Socket to = openUdp(4, 0, false);
  CHECK(connectTo(to.fd.get(), gone));
  const char byte = 'x';
  CHECK_EQ(send(to.fd.get(), &byte, 1, 0), 1);
  int error = 0;
  socklen_t size = sizeof error;
  // The answer comes within the call on the loopback device; it is left where it is.
  pollfd ready{to.fd.get(), POLLIN, 0};
  CHECK(poll(&ready, 1, 5000) == 1 && (ready.revents & POLLERR) != 0);
  // Now from a peer that is there, in place of the one that is gone.
  CHECK(connectTo(to.fd.get(), {here, portOf(from.fd.get())}));
  sendByte(from.fd.get(), {here, portOf(to.fd.get())}, 'y');
  const auto receives = std::make_unique<ReceiveBatch>();
  CHECK_EQ(receives->receive(to.fd.get()), 1u);
  CHECK(getsockopt(to.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0);
  CHECK_EQ(error, 0);
}

void favouriteNeedsMostVotes() {
  const Endpoint first{{4, {192, 0, 2, 1}}, 1};
  const Endpoint second{{4, {192, 0, 2, 1}}, 2};
  const Address to{4, {192, 0, 2, 9}};
  Favourites votes;
  for (std::uint32_t i = 0; i < 10 * kFavouriteVotes; i++) CHECK(!votes.vote(i % 2 == 0 ? first : second, to));
  for (std::uint32_t i = 1; i < kFavouriteVotes; i++) CHECK(!votes.vote(second, to));
  CHECK(votes.vote(second, to));
  // It stays so until another sends more.
  CHECK(votes.vote(second, to));
  CHECK(!votes.vote(first, to));
  CHECK(votes.vote(second, to));
  votes.forget();
  CHECK(!votes.vote(second, to));
}

void kernelsAnswers() {
  const RouteAnswer answer = askKernel({}, {{4, {127, 0, 0, 1}}, 0});
  CHECK(text(answer.source) == "127.0.0.1");
  CHECK(answer.mtu >= 1500);
}

void ipv4HeadersAreCutOff() {
  std::array<std::uint8_t, 64> bytes{};
  const auto stripped = [&](std::uint8_t first, std::size_t length) {
    bytes[0] = first;
    Frame frame{bytes.data(), bytes.size(), 0, length};
    return stripIpv4(frame) ? static_cast<long>(frame.length) : -1L;
  };
  CHECK_EQ(stripped(0x45, 60), 40L);
  CHECK_EQ(stripped(0x46, 60), 36L);
  CHECK_EQ(stripped(0x45, 20), 0L);
  CHECK_EQ(stripped(0x45, 19), -1L);
  CHECK_EQ(stripped(0x4f, 59), -1L);
  CHECK_EQ(stripped(0x44, 60), -1L);
  CHECK_EQ(stripped(0x65, 60), -1L);
}

void addressesReadBack() {
  const Endpoint v6{{6, {0x20, 0x01, 0x0d, 0xb8}}, 10500};
  CHECK(SocketAddress(v6).endpoint() == v6);
  const Endpoint mapped{{6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}}, 1};
  CHECK(text(SocketAddress(mapped).endpoint().address) == "192.0.2.1");
}

}  // namespace

int main() {
  batchesArriveWhole();
  batchesFollowTheSize();
  refusalsAreTold();
  likeDatagramsShareMessages(4);
  likeDatagramsShareMessages(6);
  refusedMessagesAreDivided();
  usedPortIsNamed();
  connectedSocketTakesItsPeers(4);
  connectedSocketTakesItsPeers(6);
  errorsHideNothing();
  favouriteNeedsMostVotes();
  kernelsAnswers();
  ipv4HeadersAreCutOff();
  addressesReadBack();
}
