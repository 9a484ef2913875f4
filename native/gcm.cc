#include "gcm.h"

#include <openssl/crypto.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace hipd {

GcmKey::GcmKey() {
  std::memset(static_cast<void*>(this), 0, sizeof *this);
}

GcmKey::~GcmKey() {
  OPENSSL_cleanse(static_cast<void*>(this), sizeof *this);
}

#if defined(__x86_64__)

// Each in a file of its own.
extern const GcmKernel kGcmVaesAvx512;
extern const GcmKernel kGcmVaesAvx2;
extern const GcmKernel kGcmAesNi;

#define HIPD_TARGET __attribute__((target("aes,pclmul,ssse3")))

namespace {

HIPD_TARGET __m128i loadBlock(const std::uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

HIPD_TARGET void storeBlock(std::uint8_t* p, __m128i block) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), block);
}

/// Four words of the key schedule from the four before them (or eight, for AES-256) and a transformed word.
HIPD_TARGET __m128i nextWords(__m128i words, __m128i transformed) {
  words = _mm_xor_si128(words, _mm_slli_si128(words, 4));
  words = _mm_xor_si128(words, _mm_slli_si128(words, 8));
  return _mm_xor_si128(words, transformed);
}

/// SubWord of the last word (FIPS 197 5.2), rotated or not, plus the round's constant, in all four columns: with four
/// equal columns, the last round's ShiftRows changes nothing.
HIPD_TARGET __m128i transform(__m128i words, bool rotate, int constant) {
  const __m128i order = rotate ? _mm_set1_epi32(0x0c0f0e0d) : _mm_set1_epi32(0x0f0e0d0c);
  return _mm_aesenclast_si128(_mm_shuffle_epi8(words, order), _mm_set1_epi32(constant));
}

/// a * b / x^128 in POLYVAL's field (RFC 8452 3, 7).
HIPD_TARGET __m128i dot(__m128i a, __m128i b) {
  const __m128i polynomial = _mm_set_epi64x(0, static_cast<long long>(0xc200000000000000ULL));
  const __m128i low = _mm_clmulepi64_si128(a, b, 0x00);
  const __m128i high = _mm_clmulepi64_si128(a, b, 0x11);
  __m128i middle = _mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10));
  middle = _mm_xor_si128(middle, _mm_shuffle_epi32(low, 0x4e));
  middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(low, polynomial, 0x00));
  const __m128i folded = _mm_xor_si128(_mm_shuffle_epi32(middle, 0x4e), _mm_clmulepi64_si128(middle, polynomial, 0x00));
  return _mm_xor_si128(high, folded);
}

/// H for POLYVAL: byte reversed and multiplied by x (RFC 8452 A).
HIPD_TARGET __m128i hashKey(__m128i h) {
  h = _mm_shuffle_epi8(h, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  const __m128i carries = _mm_srli_epi64(h, 63);
  const __m128i doubled = _mm_or_si128(_mm_add_epi64(h, h), _mm_slli_si128(carries, 8));
  // All ones when x^127 fell out, which stands for x^127 + x^126 + x^121 + 1.
  const __m128i out = _mm_sub_epi64(_mm_setzero_si128(), _mm_srli_si128(carries, 8));
  const __m128i everywhere = _mm_shuffle_epi32(out, 0x44);
  return _mm_xor_si128(doubled,
                       _mm_and_si128(everywhere, _mm_set_epi64x(static_cast<long long>(0xc200000000000000ULL), 1)));
}

HIPD_TARGET void expandRounds(GcmKey& key, View bytes) {
  __m128i words = loadBlock(bytes.data());
  storeBlock(key.round[0], words);
  if (bytes.size() == 16) {
    key.rounds = 10;
    int constant = 1;
    for (unsigned i = 1; i <= 10; i++) {
      words = nextWords(words, transform(words, true, constant));
      storeBlock(key.round[i], words);
      constant = i == 8 ? 0x1b : constant * 2;
    }
    return;
  }
  key.rounds = 14;
  __m128i upper = loadBlock(bytes.data() + 16);
  storeBlock(key.round[1], upper);
  int constant = 1;
  for (unsigned i = 2; i <= 14; i += 2) {
    words = nextWords(words, transform(upper, true, constant));
    storeBlock(key.round[i], words);
    if (i == 14) break;
    upper = nextWords(upper, transform(words, false, 0));
    storeBlock(key.round[i + 1], upper);
    constant *= 2;
  }
}

HIPD_TARGET void expandPowers(GcmKey& key) {
  __m128i h = loadBlock(key.round[0]);
  for (unsigned i = 1; i < key.rounds; i++) h = _mm_aesenc_si128(h, loadBlock(key.round[i]));
  h = hashKey(_mm_aesenclast_si128(h, loadBlock(key.round[key.rounds])));
  __m128i power = h;
  for (std::size_t i = 1; i <= kGcmPowers; i++) {
    storeBlock(key.powers[3 + kGcmPowers - i], power);
    power = dot(power, h);
  }
}

/// CPUID leaf 7, ECX: what older compilers have no name for.
constexpr unsigned kVaes = 1U << 9;
constexpr unsigned kVpclmulqdq = 1U << 10;

/// The kernels of this processor. The compiler's names of AVX and beyond include that the system saves the registers.
struct Usable {
  std::array<const GcmKernel*, 3> list{};
  std::size_t count = 0;

  Usable() {
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
    const bool aes = __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("avx");
    const bool wide = aes && __builtin_cpu_supports("avx2") && (ecx & kVaes) != 0 && (ecx & kVpclmulqdq) != 0;
    const bool widest = wide && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("bmi2");
    if (widest) list[count++] = &kGcmVaesAvx512;
    if (wide) list[count++] = &kGcmVaesAvx2;
    if (aes) list[count++] = &kGcmAesNi;
  }
};

}  // namespace

void GcmKey::expand(View key) {
  expandRounds(*this, key);
  expandPowers(*this);
}

std::span<const GcmKernel* const> gcmKernels() {
  static const Usable usable;
  return {usable.list.data(), usable.count};
}

#else

void GcmKey::expand(View) {}

std::span<const GcmKernel* const> gcmKernels() {
  return {};
}

#endif

}  // namespace hipd
