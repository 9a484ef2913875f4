// The AES-GCM kernel with four blocks a vector: VAES, VPCLMULQDQ and AVX-512. Masks make parts of vectors cheap.
#if defined(__x86_64__)

#include <immintrin.h>

#include "gcm.h"

#if !defined(__clang__)
// GCC's own headers leave registers undefined on purpose, and GCC 12 warns of it here.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#define HIPD_GCM_TARGET \
  __attribute__((target("aes,pclmul,ssse3,avx2,vaes,vpclmulqdq,bmi2,avx512f,avx512bw,avx512dq,avx512vl")))
#define HIPD_GCM_INLINE HIPD_GCM_TARGET __attribute__((always_inline)) inline

namespace hipd {
namespace {

using V = __m512i;
constexpr std::size_t kLanes = 4;
constexpr std::size_t kVectors = 8;

HIPD_GCM_INLINE V load(const std::uint8_t* p) {
  return _mm512_loadu_si512(p);
}
HIPD_GCM_INLINE void store(std::uint8_t* p, V v) {
  _mm512_storeu_si512(p, v);
}
HIPD_GCM_INLINE __mmask64 maskOf(std::size_t part) {
  return _bzhi_u64(~0ULL, static_cast<unsigned>(part));
}
HIPD_GCM_INLINE V loadPart(const std::uint8_t* p, std::size_t part) {
  return _mm512_maskz_loadu_epi8(maskOf(part), p);
}
HIPD_GCM_INLINE void storePart(std::uint8_t* p, V v, std::size_t part) {
  _mm512_mask_storeu_epi8(p, maskOf(part), v);
}
HIPD_GCM_INLINE V keepPart(V v, std::size_t part) {
  return _mm512_maskz_mov_epi8(maskOf(part), v);
}
/// The text's first bytes, at most 32, behind blocks 0 and 1.
HIPD_GCM_INLINE V loadHead(const std::uint8_t* p, std::size_t text) {
  const __m256i half = text == 32 ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
                                  : _mm256_maskz_loadu_epi8(static_cast<__mmask32>(maskOf(text)), p);
  return _mm512_inserti64x4(_mm512_setzero_si512(), half, 1);
}
HIPD_GCM_INLINE void storeHead(std::uint8_t* p, V v, std::size_t text) {
  const __m256i half = _mm512_extracti64x4_epi64(v, 1);
  if (text == 32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), half);
  } else {
    _mm256_mask_storeu_epi8(p, static_cast<__mmask32>(maskOf(text)), half);
  }
}
/// Zero, the block, and the text's lanes.
HIPD_GCM_INLINE V withSecond(V v, __m128i block) {
  return _mm512_mask_mov_epi64(_mm512_maskz_broadcast_i32x4(0x00f0, block), 0xf0, v);
}
HIPD_GCM_INLINE __m128i secondOf(V v) {
  return _mm512_extracti32x4_epi32(v, 1);
}
/// The block in that lane; lane 0 is left alone.
HIPD_GCM_INLINE V placed(V v, __m128i block, std::size_t lane) {
  return _mm512_mask_broadcast_i32x4(v, static_cast<__mmask16>((0xfU << (4 * lane)) & 0xfff0U), block);
}
HIPD_GCM_INLINE V spread(__m128i block) {
  return _mm512_broadcast_i32x4(block);
}
HIPD_GCM_INLINE V widen(__m128i block) {
  return _mm512_zextsi128_si512(block);
}
HIPD_GCM_INLINE __m128i laneSum(V v) {
  const __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}
HIPD_GCM_INLINE V add(V a, V b) {
  return _mm512_xor_si512(a, b);
}
HIPD_GCM_INLINE V add(V a, V b, V c) {
  return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}
HIPD_GCM_INLINE V encrypt(V state, V key) {
  return _mm512_aesenc_epi128(state, key);
}
HIPD_GCM_INLINE V encryptLast(V state, V key) {
  return _mm512_aesenclast_epi128(state, key);
}
template <int kHalves>
HIPD_GCM_INLINE V multiply(V a, V b) {
  return _mm512_clmulepi64_epi128(a, b, kHalves);
}
HIPD_GCM_INLINE V shuffle(V v, V order) {
  return _mm512_shuffle_epi8(v, order);
}
HIPD_GCM_INLINE V swapHalves(V v) {
  return _mm512_shuffle_epi32(v, _MM_PERM_BADC);
}

#include "gcm_kernel.h"

}  // namespace

extern const GcmKernel kGcmVaesAvx512;
const GcmKernel kGcmVaesAvx512{"vaes-avx512", seal, open};

}  // namespace hipd

#endif
