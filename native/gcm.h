// AES-GCM for ESP on x86-64 processors with AES and carry-less multiplication (NIST SP 800-38D, RFC 4106): the expanded
// key, and the table of kernels of which the processor decides.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "types.h"

namespace hipd {

/// The highest power of the hash key that is kept: a chunk of the widest kernel and one block more.
inline constexpr std::size_t kGcmPowers = 33;
/// ESP's AAD with 64-bit sequence numbers (RFC 4106 5).
inline constexpr std::size_t kGcmAad = 12;
inline constexpr std::size_t kGcmNonce = 12;
inline constexpr std::size_t kGcmTag = 16;

/// One AES-GCM key, made ready for the kernels. Wiped when destroyed.
struct alignas(64) GcmKey {
  /// H^33, H^32, ..., H^1 in POLYVAL's form (RFC 8452 A), from row 3, so that a chunk's first power begins a line of
  /// the cache; then zeros, because a vector that begins at H^1 is read whole.
  std::uint8_t powers[3 + kGcmPowers + 4][16];
  /// Round keys in the order of memory (FIPS 197 5.2).
  std::uint8_t round[15][16];
  /// 10 for AES-128, 14 for AES-256.
  unsigned rounds;

  GcmKey();
  ~GcmKey();
  GcmKey(const GcmKey&) = delete;
  GcmKey& operator=(const GcmKey&) = delete;

  /// @param key 16 or 32 bytes. Only on processors that run a kernel.
  void expand(View key);
};

/// One packet. `in` and `out` are equal or do not overlap.
struct GcmPacket {
  const std::uint8_t* nonce;
  const std::uint8_t* aad;
  const std::uint8_t* in;
  std::uint8_t* out;
  /// At most 2^20.
  std::size_t length;
};

/// One way to compute AES-GCM. Both functions write the whole tag of the ciphertext; comparing it is the caller's part.
/// They touch nothing beyond `length` bytes, and neither branch nor index by anything secret.
struct GcmKernel {
  std::string_view name;
  void (*seal)(const GcmKey& key, const GcmPacket& packet, std::uint8_t* tag);
  void (*open)(const GcmKey& key, const GcmPacket& packet, std::uint8_t* tag);
};

/// The kernels that this processor runs, the fastest first. Empty elsewhere than on x86-64.
std::span<const GcmKernel* const> gcmKernels();

}  // namespace hipd
