#include "hold.h"

#include <algorithm>
#include <cstring>

namespace hipd {

Hold::Hold() : arena_(kHoldAllBytes) {
  for (std::uint32_t i = 0; i + 1 < kBlocks; i++) blocks_[i].next = i + 1;
}

Hold::Pushed Hold::push(HoldQueue& queue, View packet) {
  Pushed result;
  const auto length = static_cast<std::uint32_t>(packet.size());
  if (packet.empty() || length > kMaxDatagram || length > kHoldBytes) return result;
  const std::uint32_t needed = (length + kBlock - 1) / kBlock;
  const std::lock_guard lock(mutex_);
  while (queue.waiting.load(std::memory_order_relaxed) >= kHoldPackets || queue.bytes + length > kHoldBytes) {
    if (!dropOldest(queue)) return result;
    result.dropped++;
  }
  // When the whole store is full a peer gives up its own oldest packets, never those of others.
  while (kBlocks - used_.load(std::memory_order_relaxed) < needed) {
    if (!dropOldest(queue)) return result;
    result.dropped++;
  }
  std::uint32_t first = kNone;
  std::uint32_t last = kNone;
  for (std::uint32_t at = 0; at < length; at += kBlock) {
    const std::uint32_t block = free_;
    free_ = blocks_[block].next;
    blocks_[block] = {};
    std::memcpy(arena_.data() + std::size_t{block} * kBlock, packet.data() + at, std::min(kBlock, length - at));
    if (first == kNone) {
      first = block;
    } else {
      blocks_[last].next = block;
    }
    last = block;
  }
  used_.fetch_add(needed, std::memory_order_relaxed);
  blocks_[first].length = length;
  if (queue.tail == kNone) {
    queue.head = first;
  } else {
    blocks_[queue.tail].nextPacket = first;
  }
  queue.tail = first;
  queue.bytes += length;
  queue.waiting.fetch_add(1);
  result.stored = true;
  return result;
}

std::size_t Hold::pop(HoldQueue& queue, Bytes room) {
  const std::lock_guard lock(mutex_);
  if (queue.head == kNone) return 0;
  const std::uint32_t first = queue.head;
  const std::uint32_t length = std::min<std::uint32_t>(blocks_[first].length, static_cast<std::uint32_t>(room.size()));
  std::uint32_t at = 0;
  for (std::uint32_t block = first; block != kNone && at < length; block = blocks_[block].next) {
    const std::uint32_t part = std::min(kBlock, length - at);
    std::memcpy(room.data() + at, arena_.data() + std::size_t{block} * kBlock, part);
    at += part;
  }
  dropOldest(queue);
  return length;
}

std::uint32_t Hold::clear(HoldQueue& queue) {
  const std::lock_guard lock(mutex_);
  std::uint32_t count = 0;
  while (dropOldest(queue)) count++;
  if (queue.ready) {
    HoldQueue* before = nullptr;
    for (HoldQueue* one = firstReady_; one != &queue; one = one->nextReady) before = one;
    (before == nullptr ? firstReady_ : before->nextReady) = queue.nextReady;
    if (lastReady_ == &queue) lastReady_ = before;
    queue.ready = false;
    queue.nextReady = nullptr;
  }
  return count;
}

bool Hold::beginDrain(HoldQueue& queue) {
  const std::lock_guard lock(mutex_);
  if (queue.draining) return false;
  queue.draining = true;
  return true;
}

bool Hold::endDrain(HoldQueue& queue) {
  const std::lock_guard lock(mutex_);
  if (queue.head != kNone) return false;
  queue.draining = false;
  return true;
}

void Hold::abandonDrain(HoldQueue& queue) {
  const std::lock_guard lock(mutex_);
  queue.draining = false;
}

void Hold::markReady(HoldQueue& queue) {
  const std::lock_guard lock(mutex_);
  if (queue.ready || queue.head == kNone) return;
  queue.ready = true;
  queue.nextReady = nullptr;
  (lastReady_ == nullptr ? firstReady_ : lastReady_->nextReady) = &queue;
  lastReady_ = &queue;
}

HoldQueue* Hold::takeReady() {
  const std::lock_guard lock(mutex_);
  HoldQueue* queue = firstReady_;
  if (queue == nullptr) return nullptr;
  firstReady_ = queue->nextReady;
  if (firstReady_ == nullptr) lastReady_ = nullptr;
  queue->ready = false;
  queue->nextReady = nullptr;
  return queue;
}

bool Hold::dropOldest(HoldQueue& queue) {
  const std::uint32_t first = queue.head;
  if (first == kNone) return false;
  queue.head = blocks_[first].nextPacket;
  if (queue.head == kNone) queue.tail = kNone;
  queue.bytes -= blocks_[first].length;
  queue.waiting.fetch_sub(1);
  release(first);
  return true;
}

void Hold::release(std::uint32_t first) {
  std::uint32_t count = 0;
  for (std::uint32_t block = first; block != kNone; count++) {
    const std::uint32_t next = blocks_[block].next;
    blocks_[block].next = free_;
    free_ = block;
    block = next;
  }
  used_.fetch_sub(count, std::memory_order_relaxed);
}

}  // namespace hipd
