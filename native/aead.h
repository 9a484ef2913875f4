// The one seam to ciphers: what seals and opens, who makes it, and where each worker keeps it.
//
// An SA holds `Keys` (small). A worker holds a `CipherCache`: keyed contexts of the SAs it used last, so that neither a
// lock nor a context per SA and worker is needed. Other back-ends join as further `Backend`s.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "types.h"
#include "verdict.h"

namespace hipd {

/// ESP suite IDs (RFC 7402 5.1.2).
enum class Suite : std::uint8_t {
  NullHmacSha256 = 7,
  Aes128CbcHmacSha256 = 8,
  Aes256CbcHmacSha256 = 9,
  AesGcm8 = 12,
  AesGcm16 = 13,
};

/// Sizes of a suite, in bytes. HMAC-SHA-256: a 32-byte key and a 16-byte ICV (RFC 4868 2.1, 2.3).
struct SuiteShape {
  Suite suite;
  std::string_view name;
  std::uint8_t ivLength;
  std::uint8_t icvLength;
  /// Payload, padding, Pad Length and Next Header together fill a multiple of this.
  std::uint8_t alignment;
  std::uint8_t integrityKeyLength;
  /// AES key and, for GCM, 4 bytes of salt (RFC 4106 8.1). Two lengths where the suite leaves the key size open.
  std::array<std::uint8_t, 2> encryptionKeyLengths;
};

/// The shape of a suite, or nullptr for an ID that is not one of ours.
const SuiteShape* suiteShape(unsigned id);
const SuiteShape& suiteShape(Suite suite);

enum class Direction : std::uint8_t { In, Out };

/// Key material of one SA. Wiped when destroyed. Shared by the SA and by the caches that have seen it. Takes the room
/// that its suite needs: a host may have tens of thousands.
class Keys {
 public:
  /// @return nullptr when a length does not fit the suite.
  static std::shared_ptr<Keys> make(Suite suite, Direction direction, View encryptionKey, View integrityKey);
  Keys(const Keys&) = delete;
  Keys& operator=(const Keys&) = delete;

  /// Unique in this process, never reused.
  std::uint64_t id() const { return id_; }
  Suite suite() const { return suite_; }
  Direction direction() const { return direction_; }
  /// The AES key without salt; empty for suite 7.
  View encryptionKey() const { return {bytes_, encryptionLength_}; }
  View integrityKey() const { return {bytes_ + encryptionLength_ + kSaltLength, integrityLength_}; }
  /// GCM's salt; four zero bytes otherwise.
  View salt() const { return {bytes_ + encryptionLength_, kSaltLength}; }
  /// The SA is gone: caches forget the key at their next sweep.
  void retire() { retired_.store(true, std::memory_order_release); }
  bool retired() const { return retired_.load(std::memory_order_acquire); }

 protected:
  Keys() = default;
  ~Keys() = default;

 private:
  static constexpr std::size_t kSaltLength = 4;
  /// Keys with the room that they need behind them.
  template <std::size_t kRoom>
  struct Made;

  std::uint64_t id_ = 0;
  /// AES key, salt, integrity key.
  std::uint8_t* bytes_ = nullptr;
  Suite suite_ = Suite::AesGcm16;
  Direction direction_ = Direction::Out;
  std::uint8_t encryptionLength_ = 0;
  std::uint8_t integrityLength_ = 0;
  std::atomic<bool> retired_{false};
};

/// What stands before the IV and is authenticated with the packet. The upper half of `sequence` is not sent.
struct EspHeader {
  std::uint32_t spi;
  std::uint64_t sequence;
};

/// One keyed cipher of one worker. Not thread-safe. Inputs and outputs are equal in place or do not overlap.
class Cipher {
 public:
  virtual ~Cipher() = default;
  /// Takes new keys of the suite and direction that it was made for. @return false when the library refuses.
  virtual bool key(const Keys& keys) = 0;
  /// Writes IV, ciphertext and ICV. `plain` is whole blocks or words: payload, padding, Pad Length, Next Header.
  /// `out` has exactly the room. In place: one piece that begins where the ciphertext goes.
  /// @return Ok or SealFailed.
  virtual Verdict seal(const EspHeader& header, Pieces plain, Bytes out) = 0;
  /// Checks the ICV and decrypts. `sealed` is IV, ciphertext, ICV; its ciphertext is whole blocks or words.
  /// `out` takes the plaintext, whose length is the ciphertext's; what it holds after a failure is garbage.
  /// @return Ok or EspAuth.
  virtual Verdict open(const EspHeader& header, View sealed, std::uint8_t* out) = 0;
};

/// A library that makes ciphers. Lives for ever. Thread-safe.
class Backend {
 public:
  virtual ~Backend() = default;
  /// "openssl 3.0.15": for the log.
  virtual std::string_view name() const = 0;
  /// @return nullptr when this back-end does not do the suite, or out of memory.
  virtual std::unique_ptr<Cipher> make(Suite suite, Direction direction, std::size_t encryptionKeyLength) const = 0;
};

/// The portable default.
const Backend& opensslBackend();
/// The back-ends that work on this machine and have passed the self-test against OpenSSL, the fastest first.
std::span<const Backend* const> backends();
/// @param wanted "" or "auto", or how the name of one begins: "openssl", "ipsec-mb", "builtin".
/// @return the first of `backends()` that fits; when none does, the first of all.
/// @param note what an administrator should know: a back-end that failed, a wish not fulfilled. Else empty.
const Backend& chooseBackend(std::string_view wanted, std::string& note);

/// A worker's keyed ciphers, found by Keys::id. Not thread-safe. Allocates only when it meets a suite or key size
/// that a slot has not held before.
class CipherCache {
 public:
  static constexpr std::size_t kDefaultSlots = 256;
  /// @param slots a power of two, at least kWays.
  explicit CipherCache(const Backend& backend = opensslBackend(), std::size_t slots = kDefaultSlots);
  CipherCache(CipherCache&&) = default;
  CipherCache& operator=(CipherCache&&) = default;

  /// The keyed cipher; valid until the next call. nullptr when the back-end refuses.
  Cipher* find(const std::shared_ptr<Keys>& keys);
  /// Forgets keys whose SA is gone. Call when the table of SAs has changed.
  void sweep();
  std::uint64_t misses() const { return misses_; }
  /// Memory of this worker for one packet, valid until the next use.
  Bytes scratch() { return {scratch_.get(), kMaxPacket}; }
  const Backend& backend() const { return *backend_; }

 private:
  static constexpr std::size_t kWays = 4;
  struct Slot {
    std::uint64_t id = 0;
    std::uint64_t used = 0;
    std::shared_ptr<Keys> keys;
    std::unique_ptr<Cipher> cipher;
    Suite suite = Suite::AesGcm16;
    Direction direction = Direction::Out;
    std::size_t keyLength = 0;
  };
  const Backend* backend_;
  std::vector<Slot> slots_;
  std::unique_ptr<std::uint8_t[]> scratch_{new std::uint8_t[kMaxPacket]};
  std::uint64_t clock_ = 0;
  std::uint64_t misses_ = 0;
};

}  // namespace hipd
