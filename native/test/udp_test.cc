// Sockets and batches, on the loopback interface.
#include "udp.h"

#include <poll.h>

#include <memory>

#include "check.h"
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
    Frame room = sends->room();
    room.length = 20 * queued;
    for (std::size_t i = 0; i < room.length; i++) room.data()[i] = static_cast<std::uint8_t>(queued);
    sends->add(room, destination, static_cast<std::uint32_t>(queued));
    queued++;
  }
  CHECK_EQ(queued, kBatch);
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
  for (std::uint32_t tag = 0; tag < 6; tag++) {
    Frame room = sends->room();
    room.length = 10 + tag;
    sends->add(room, tag % 3 == 1 ? bad : good, tag);
  }
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
  Frame room = sends->room();
  room.length = 1;
  sends->add(room, good, 9);
  int count = 0;
  sends->flush([&](std::uint32_t, std::size_t, int error) {
    CHECK_EQ(error, EAFNOSUPPORT);
    count++;
  });
  CHECK_EQ(count, 1);
}

void usedPortIsNamed() {
  const Socket first = openUdp(4, 0, false);
  const std::uint16_t port = portOf(first.fd.get());
  const Socket second = openUdp(4, port, false);
  CHECK(second.error.find(std::to_string(port)) != std::string::npos);
  CHECK(second.error.find("in use") != std::string::npos);
  CHECK(!second.unsupported);
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
  refusalsAreTold();
  usedPortIsNamed();
  kernelsAnswers();
  ipv4HeadersAreCutOff();
  addressesReadBack();
}
