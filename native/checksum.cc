#include "checksum.h"

#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hipd {
namespace {

#if defined(__x86_64__)
/// Sums whole 64-byte lines as 32-bit words of the machine's order, in 64 bits each. Moves `p` and `left` on.
__attribute__((target("avx2"))) std::uint64_t sumLines(const std::uint8_t*& p, std::size_t& left) {
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  __m256i a = _mm256_setzero_si256();
  __m256i b = a;
  __m256i c = a;
  __m256i d = a;
  for (; left >= 64; p += 64, left -= 64) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
    a = _mm256_add_epi64(a, _mm256_and_si256(x, low));
    b = _mm256_add_epi64(b, _mm256_srli_epi64(x, 32));
    c = _mm256_add_epi64(c, _mm256_and_si256(y, low));
    d = _mm256_add_epi64(d, _mm256_srli_epi64(y, 32));
  }
  const __m256i all = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(half)) + static_cast<std::uint64_t>(_mm_extract_epi64(half, 1));
}

bool hasAvx2() {
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
}
#endif

}  // namespace

std::uint64_t sumBytes(View bytes, std::uint64_t sum) {
  // Words are added in the machine's order, which commutes with the one's complement sum (RFC 1071 2 B), and swapped
  // once.
  const std::uint8_t* p = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t native = 0;
#if defined(__x86_64__)
  if (left >= 128 && hasAvx2()) native = sumLines(p, left);
#endif
  while (left >= 16) {
    std::uint32_t words[4];
    std::memcpy(words, p, sizeof words);
    native += static_cast<std::uint64_t>(words[0]) + words[1] + words[2] + words[3];
    p += 16;
    left -= 16;
  }
  while (left >= 2) {
    std::uint16_t word;
    std::memcpy(&word, p, sizeof word);
    native += word;
    p += 2;
    left -= 2;
  }
  if (left != 0) {
    std::uint8_t last[2] = {*p, 0};
    std::uint16_t word;
    std::memcpy(&word, last, sizeof word);
    native += word;
  }
  unsigned folded = foldSum(native);
  if constexpr (std::endian::native == std::endian::little) folded = (folded >> 8) | ((folded & 0xffU) << 8);
  return sum + folded;
}

std::uint16_t foldSum(std::uint64_t sum) {
  while (sum > 0xffff) sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<std::uint16_t>(sum);
}

std::uint16_t sumAddresses(const Hit& a, const Hit& b) {
  return foldSum(sumBytes(a.bytes, sumBytes(b.bytes)));
}

std::uint16_t sumAddresses(const Lsi& a, const Lsi& b) {
  return foldSum(sumBytes(a.bytes, sumBytes(b.bytes)));
}

std::uint16_t adjustChecksum(std::uint16_t checksum, std::uint64_t removed, std::uint64_t added) {
  const std::uint64_t was = static_cast<std::uint16_t>(~checksum);
  const std::uint64_t less = static_cast<std::uint16_t>(~foldSum(removed));
  return checksumOf(was + less + foldSum(added));
}

}  // namespace hipd
