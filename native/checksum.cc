#include "checksum.h"

#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hipd {
namespace {

// Words are summed in the machine's order, 32 bits and more at a time, and bytes swapped once at the end: the one's
// complement sum does not care for the order of bytes within a word, nor for how words are put together (RFC 1071 2 B).

#if defined(__x86_64__)
/// Whole 64-byte lines. Moves `p` and `left` on.
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

#if !defined(__clang__)
// GCC's own headers leave registers undefined on purpose, and GCC 12 warns of it here.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
/// Everything: a mask reads what is left behind the last whole line.
__attribute__((target("avx512f,avx512bw"))) std::uint64_t sumAll(const std::uint8_t* p, std::size_t left) {
  const __m512i low = _mm512_set1_epi64(0xffffffff);
  __m512i a = _mm512_setzero_si512();
  __m512i b = a;
  for (; left >= 64; p += 64, left -= 64) {
    const __m512i x = _mm512_loadu_si512(p);
    a = _mm512_add_epi64(a, _mm512_and_si512(x, low));
    b = _mm512_add_epi64(b, _mm512_srli_epi64(x, 32));
  }
  const __m512i x = _mm512_maskz_loadu_epi8((1ULL << left) - 1, p);
  a = _mm512_add_epi64(a, _mm512_and_si512(x, low));
  b = _mm512_add_epi64(b, _mm512_srli_epi64(x, 32));
  return static_cast<std::uint64_t>(_mm512_reduce_add_epi64(_mm512_add_epi64(a, b)));
}

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// Of those that `by` allows. Moves `p` and `left` on.
std::uint64_t sumByVectors(SumBy by, const std::uint8_t*& p, std::size_t& left) {
  if (by == SumBy::Words || left < 128) return 0;
  if (by == SumBy::Avx2) return sumLines(p, left);
  const std::uint64_t sum = sumAll(p, left);
  left = 0;
  return sum;
}
#endif

}  // namespace

SumBy fastestSum() {
#if defined(__x86_64__)
  // Processors with VBMI2 and later do not slow down for vectors of 512 bits.
  static const SumBy best = __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vbmi2") != 0
                                ? SumBy::Avx512
                            : __builtin_cpu_supports("avx2") != 0 ? SumBy::Avx2
                                                                  : SumBy::Words;
  return best;
#else
  return SumBy::Words;
#endif
}

std::uint64_t sumBytes(View bytes, std::uint64_t sum) {
  return sumBytesBy(fastestSum(), bytes, sum);
}

std::uint64_t sumBytesBy([[maybe_unused]] SumBy by, View bytes, std::uint64_t sum) {
  const std::uint8_t* p = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t native = 0;
#if defined(__x86_64__)
  native = sumByVectors(by, p, left);
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
