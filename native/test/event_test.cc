// Records for JavaScript: format, bounds, wake-ups.
#include "event.h"

#include <memory>

#include "check.h"

using namespace hipd;

namespace {

std::uint32_t number(const std::uint8_t* at) {
  std::uint32_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return value;
}

struct Wakes {
  int count = 0;
  static void wake(void* context) { static_cast<Wakes*>(context)->count++; }
};

Path somePath() {
  Path path;
  path.local = {{4, {192, 0, 2, 1}}, 10500};
  path.remote = {{4, {198, 51, 100, 7}}, 4242};
  return path;
}

void recordsAndWakeUps() {
  Wakes wakes;
  EventQueue queue(Wakes::wake, &wakes);
  std::vector<std::uint8_t> buffer(kMaxEventRecord);
  CHECK_EQ(queue.drain(buffer, 10), 0u);
  CHECK(queue.push(EventType::Control, [](Event& event) {
    event.path = somePath();
    event.length = 5;
    std::memcpy(event.bytes.data(), "hello", 5);
  }));
  CHECK(queue.push(EventType::EchoReply, [](Event& event) {
    event.peer.bytes[15] = 9;
    event.sequence = 77;
    event.rttMicros = 1234;
  }));
  CHECK_EQ(wakes.count, 1);
  const std::size_t first = kEventRecord + 8;
  CHECK_EQ(queue.drain(buffer, 10), first + kEventRecord);
  CHECK_EQ(number(buffer.data()), first);
  CHECK_EQ(buffer[4], 1);
  CHECK_EQ(number(buffer.data() + 20), 5u);
  CHECK(std::memcmp(buffer.data() + 80, "hello", 5) == 0);
  Path read;
  CHECK(readPath({buffer.data() + 40, kPathRecord}, read));
  CHECK(read == somePath());
  const std::uint8_t* second = buffer.data() + first;
  CHECK_EQ(second[4], 8);
  CHECK_EQ(number(second + 12), 77u);
  CHECK_EQ(number(second + 16), 1234u);
  CHECK_EQ(second[24 + 15], 9);

  // What a drain leaves over wakes again.
  for (int i = 0; i < 3; i++) CHECK(queue.push(EventType::Miss, [](Event&) {}));
  CHECK_EQ(wakes.count, 2);
  CHECK_EQ(queue.drain(buffer, 2), 2 * kEventRecord);
  CHECK_EQ(wakes.count, 3);
  CHECK_EQ(queue.drain(buffer, 2), kEventRecord);
  CHECK_EQ(wakes.count, 3);
}

void floodOfControlLeavesRoom() {
  Wakes wakes;
  EventQueue queue(Wakes::wake, &wakes);
  std::size_t control = 0;
  while (queue.push(EventType::Control, [](Event& event) { event.length = kMaxControl; })) control++;
  CHECK_EQ(control, kEventQueueForControl);
  std::size_t others = 0;
  while (queue.push(EventType::Miss, [](Event&) {})) others++;
  CHECK_EQ(control + others, kEventQueue);
  CHECK_EQ(wakes.count, 1);
  std::vector<std::uint8_t> buffer(kMaxEventRecord);
  std::size_t total = 0;
  while (const std::size_t length = queue.drain(buffer, 1000)) total += length;
  CHECK_EQ(total, control * (kEventRecord + kMaxControl) + others * kEventRecord);
}

void latestAddressesWin() {
  Wakes wakes;
  EventQueue queue(Wakes::wake, &wakes);
  while (queue.push(EventType::Miss, [](Event&) {})) {
  }
  const auto address = [](const Address& value, const char* name) {
    netlink::LocalAddress one;
    one.address = value;
    one.name = name;
    return one;
  };
  netlink::LocalAddress full = address({6, {0x20, 1, 0xd, 0xb8}}, "wlan0");
  full.deprecated = full.temporary = full.defaultSource = true;
  full.preferred = 3600;
  full.metric = 1024;
  queue.setAddresses({address({4, {192, 0, 2, 1}}, "eth0")});
  queue.setAddresses({address({4, {192, 0, 2, 2}}, "eth0"), full});
  std::vector<std::uint8_t> buffer(kMaxEventRecord);
  CHECK(queue.drain(buffer, 1) > kEventRecord);
  const std::string text(reinterpret_cast<const char*>(buffer.data() + kEventRecord), number(buffer.data() + 20));
  CHECK(text == "192.0.2.2 eth0 - - -\n2001:db8:: wlan0 dts 3600 1024");
}

void refusesBadPaths() {
  std::array<std::uint8_t, kPathRecord> record{};
  Path path;
  writePath(somePath(), record.data());
  CHECK(readPath(record, path));
  for (const auto& [at, value] : {std::pair{0, 2}, {1, 6}, {1, 5}, {2, 0}, {2, 7}}) {
    auto broken = record;
    broken[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(value);
    CHECK(!readPath(broken, path));
  }
  CHECK(!readPath(View(record).first(39), path));
}

}  // namespace

int main() {
  recordsAndWakeUps();
  floodOfControlLeavesRoom();
  latestAddressesWin();
  refusesBadPaths();
}
