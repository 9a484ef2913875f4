#include "aead.h"

#include <openssl/crypto.h>

#include "backend.h"
#include "pool.h"

namespace hipd {
namespace {

// HMAC-SHA-256 in ESP: RFC 4868 2.1.1 (key of 256 bits), 2.3 (ICV of 128 bits). CBC: RFC 3602 2.4, 3. GCM: RFC 4106 3,
// 6, 8.1. RFC 7402 5.1.2 leaves GCM's key size open: 128 bits, and 256 for peers that take it.
constexpr std::array<SuiteShape, 5> kShapes{{
    {Suite::NullHmacSha256, "NULL/HMAC-SHA-256", 0, 16, 4, 32, {0, 0}},
    {Suite::Aes128CbcHmacSha256, "AES-128-CBC/HMAC-SHA-256", 16, 16, 16, 32, {16, 16}},
    {Suite::Aes256CbcHmacSha256, "AES-256-CBC/HMAC-SHA-256", 16, 16, 16, 32, {32, 32}},
    {Suite::AesGcm8, "AES-GCM-8", 8, 8, 4, 0, {20, 36}},
    {Suite::AesGcm16, "AES-GCM-16", 8, 16, 4, 0, {20, 36}},
}};

std::atomic<std::uint64_t> lastKeyId{0};

}  // namespace

template <std::size_t kRoom>
struct Keys::Made final : Keys {
  Made() { bytes_ = room.data(); }
  ~Made() { OPENSSL_cleanse(room.data(), room.size()); }
  std::array<std::uint8_t, kRoom> room{};
};

const SuiteShape* suiteShape(unsigned id) {
  for (const SuiteShape& shape : kShapes) {
    if (static_cast<unsigned>(shape.suite) == id) return &shape;
  }
  return nullptr;
}

const SuiteShape& suiteShape(Suite suite) {
  const SuiteShape* shape = suiteShape(static_cast<unsigned>(suite));
  return shape != nullptr ? *shape : kShapes.back();
}

std::shared_ptr<Keys> Keys::make(Suite suite, Direction direction, View encryptionKey, View integrityKey) {
  const SuiteShape* shape = suiteShape(static_cast<unsigned>(suite));
  if (shape == nullptr) return nullptr;
  if (integrityKey.size() != shape->integrityKeyLength) return nullptr;
  const auto& lengths = shape->encryptionKeyLengths;
  if (encryptionKey.size() != lengths[0] && encryptionKey.size() != lengths[1]) return nullptr;

  const std::size_t salt = isGcm(suite) ? kSaltLength : 0;
  const std::size_t length = encryptionKey.size() - salt;
  // One piece of memory for the keys and the count of those who use them.
  std::shared_ptr<Keys> keys;
  if (length + integrityKey.size() <= 16) {
    keys = std::allocate_shared<Made<16 + kSaltLength>>(PoolAllocator<Keys>());
  } else {
    keys = std::allocate_shared<Made<64 + kSaltLength>>(PoolAllocator<Keys>());
  }
  keys->id_ = lastKeyId.fetch_add(1, std::memory_order_relaxed) + 1;
  keys->suite_ = suite;
  keys->direction_ = direction;
  if (!encryptionKey.empty()) std::memcpy(keys->bytes_, encryptionKey.data(), encryptionKey.size());
  if (!integrityKey.empty()) {
    std::memcpy(keys->bytes_ + length + kSaltLength, integrityKey.data(), integrityKey.size());
  }
  keys->encryptionLength_ = static_cast<std::uint8_t>(length);
  keys->integrityLength_ = static_cast<std::uint8_t>(integrityKey.size());
  return keys;
}

CipherCache::CipherCache(const Backend& backend, std::size_t slots) : backend_(&backend) {
  std::size_t count = kWays;
  while (count < slots) count *= 2;
  slots_.resize(count);
}

Cipher* CipherCache::find(const std::shared_ptr<Keys>& keys) {
  const std::uint64_t id = keys->id();
  // Neighbouring ids are one association's two directions: they fall into different sets.
  Slot* set = &slots_[(id & (slots_.size() / kWays - 1)) * kWays];
  clock_++;
  Slot* oldest = set;
  for (std::size_t i = 0; i < kWays; i++) {
    if (set[i].id == id) {
      set[i].used = clock_;
      return set[i].cipher.get();
    }
    if (set[i].used < oldest->used) oldest = &set[i];
  }

  misses_++;
  Slot& slot = *oldest;
  slot.id = 0;
  slot.keys.reset();
  const std::size_t keyLength = keys->encryptionKey().size();
  if (slot.cipher == nullptr || slot.suite != keys->suite() || slot.direction != keys->direction() ||
      slot.keyLength != keyLength) {
    slot.cipher = backend_->make(keys->suite(), keys->direction(), keyLength);
    slot.suite = keys->suite();
    slot.direction = keys->direction();
    slot.keyLength = keyLength;
  }
  if (slot.cipher == nullptr || !slot.cipher->key(*keys)) {
    slot.cipher.reset();
    return nullptr;
  }
  slot.id = id;
  slot.used = clock_;
  slot.keys = keys;
  return slot.cipher.get();
}

void CipherCache::sweep() {
  for (Slot& slot : slots_) {
    if (slot.keys == nullptr || !slot.keys->retired()) continue;
    // The cipher holds the expanded key: it goes too.
    slot.cipher.reset();
    slot.keys.reset();
    slot.id = 0;
    slot.used = 0;
  }
}

}  // namespace hipd
