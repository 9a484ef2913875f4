// Packets that wait: order, limits, and releases.
#include "hold.h"

#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "check.h"

using hipd::Hold;
using hipd::HoldQueue;
using hipd::kHoldAllBytes;
using hipd::kHoldBytes;
using hipd::kHoldPackets;

namespace {

std::vector<std::uint8_t> packet(std::size_t length, std::uint8_t mark) {
  std::vector<std::uint8_t> bytes(length);
  for (std::size_t i = 0; i < length; i++) bytes[i] = static_cast<std::uint8_t>(mark + i * 7);
  return bytes;
}

std::vector<std::uint8_t> popped(Hold& hold, HoldQueue& queue) {
  std::vector<std::uint8_t> room(hipd::kMaxDatagram);
  room.resize(hold.pop(queue, room));
  return room;
}

void keepsOrderAndContent() {
  const auto hold = std::make_unique<Hold>();
  HoldQueue queue(nullptr);
  const std::vector<std::size_t> lengths{1, 511, 512, 513, 1500, 9000, 40};
  for (std::size_t i = 0; i < lengths.size(); i++) {
    CHECK(hold->push(queue, packet(lengths[i], static_cast<std::uint8_t>(i))).stored);
  }
  CHECK_EQ(queue.waiting.load(), lengths.size());
  for (std::size_t i = 0; i < lengths.size(); i++) {
    CHECK(popped(*hold, queue) == packet(lengths[i], static_cast<std::uint8_t>(i)));
  }
  CHECK(popped(*hold, queue).empty());
  CHECK_EQ(hold->used(), 0u);
  CHECK(!hold->push(queue, {}).stored);
  CHECK(!hold->push(queue, packet(hipd::kMaxDatagram + 1, 0)).stored);
}

void dropsOldestOfThePeer() {
  const auto hold = std::make_unique<Hold>();
  HoldQueue queue(nullptr);
  for (std::uint32_t i = 0; i < kHoldPackets; i++) {
    CHECK_EQ(hold->push(queue, packet(100, static_cast<std::uint8_t>(i))).dropped, 0u);
  }
  const Hold::Pushed more = hold->push(queue, packet(100, 200));
  CHECK(more.stored);
  CHECK_EQ(more.dropped, 1u);
  CHECK_EQ(queue.waiting.load(), kHoldPackets);
  CHECK(popped(*hold, queue) == packet(100, 1));

  HoldQueue large(nullptr);
  std::uint32_t dropped = 0;
  for (std::uint32_t i = 0; i < 30; i++)
    dropped += hold->push(large, packet(9000, static_cast<std::uint8_t>(i))).dropped;
  CHECK_EQ(large.waiting.load(), kHoldBytes / 9000);
  CHECK_EQ(dropped, 30 - kHoldBytes / 9000);
  CHECK(popped(*hold, large) == packet(9000, static_cast<std::uint8_t>(dropped)));
}

/// All together never exceed the store; a peer that comes when it is full gets nothing and takes nothing from others.
void boundedForAll() {
  const auto hold = std::make_unique<Hold>();
  std::vector<std::unique_ptr<HoldQueue>> queues;
  std::uint32_t stored = 0;
  for (int q = 0; q < 50; q++) {
    queues.push_back(std::make_unique<HoldQueue>(nullptr));
    for (std::uint32_t i = 0; i < kHoldPackets; i++) {
      const Hold::Pushed pushed = hold->push(*queues.back(), packet(2000, 0));
      if (pushed.stored && pushed.dropped == 0) stored++;
    }
  }
  CHECK(hold->used() <= kHoldAllBytes);
  CHECK_EQ(hold->used(), stored * 2048);
  CHECK_EQ(queues[0]->waiting.load(), kHoldPackets);
  CHECK_EQ(queues[49]->waiting.load(), 0u);
  for (const auto& queue : queues) hold->clear(*queue);
  CHECK_EQ(hold->used(), 0u);
}

void readyListAndDraining() {
  const auto hold = std::make_unique<Hold>();
  HoldQueue a(nullptr);
  HoldQueue b(nullptr);
  HoldQueue c(nullptr);
  for (HoldQueue* queue : {&a, &b, &c}) CHECK(hold->push(*queue, packet(10, 1)).stored);
  HoldQueue empty(nullptr);
  hold->markReady(empty);
  CHECK(hold->takeReady() == nullptr);
  for (HoldQueue* queue : {&a, &b, &c}) {
    hold->markReady(*queue);
    hold->markReady(*queue);
  }
  CHECK_EQ(hold->clear(b), 1u);  // a peer that is forgotten meanwhile
  CHECK(hold->takeReady() == &a);
  CHECK(hold->takeReady() == &c);
  CHECK(hold->takeReady() == nullptr);

  CHECK(hold->beginDrain(a));
  CHECK(!hold->beginDrain(a));
  CHECK(!hold->endDrain(a));  // a packet still waits
  CHECK(!popped(*hold, a).empty());
  CHECK(hold->endDrain(a));
  CHECK(hold->beginDrain(a));
  hold->abandonDrain(a);
  CHECK(hold->beginDrain(a));
}

void manyThreads() {
  const auto hold = std::make_unique<Hold>();
  HoldQueue queue(nullptr);
  std::atomic<std::uint32_t> stored{0};
  std::atomic<std::uint32_t> lost{0};
  std::uint32_t taken = 0;
  std::vector<std::thread> producers;
  for (int p = 0; p < 3; p++) {
    producers.emplace_back([&] {
      for (int i = 0; i < 3000; i++) {
        const Hold::Pushed pushed = hold->push(queue, packet(600, 5));
        stored += pushed.stored ? 1 : 0;
        lost += pushed.dropped;
      }
    });
  }
  for (int i = 0; i < 3000; i++) {
    const auto bytes = popped(*hold, queue);
    if (bytes.empty()) continue;
    CHECK(bytes == packet(600, 5));
    taken++;
  }
  for (std::thread& producer : producers) producer.join();
  taken += hold->clear(queue);
  CHECK_EQ(stored.load(), taken + lost.load());
  CHECK_EQ(hold->used(), 0u);
}

}  // namespace

int main() {
  keepsOrderAndContent();
  dropsOldestOfThePeer();
  boundedForAll();
  readyListAndDraining();
  manyThreads();
}
