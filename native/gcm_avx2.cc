// The AES-GCM kernel with two blocks a vector: VAES and VPCLMULQDQ with AVX2.
#if defined(__x86_64__)

#include <immintrin.h>

#include "gcm.h"

#define HIPD_GCM_TARGET __attribute__((target("aes,pclmul,ssse3,avx2,vaes,vpclmulqdq")))
#define HIPD_GCM_INLINE HIPD_GCM_TARGET __attribute__((always_inline)) inline

namespace hipd {
namespace {

using V = __m256i;
constexpr std::size_t kLanes = 2;
constexpr std::size_t kVectors = 4;

HIPD_GCM_INLINE V load(const std::uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const V*>(p));
}
HIPD_GCM_INLINE void store(std::uint8_t* p, V v) {
  _mm256_storeu_si256(reinterpret_cast<V*>(p), v);
}
HIPD_GCM_INLINE V add(V a, V b) {
  return _mm256_xor_si256(a, b);
}
HIPD_GCM_INLINE V both(V a, V b) {
  return _mm256_and_si256(a, b);
}

#include "gcm_maskless.h"

HIPD_GCM_INLINE V withSecond(V, __m128i block) {
  return _mm256_inserti128_si256(_mm256_setzero_si256(), block, 1);
}
HIPD_GCM_INLINE __m128i secondOf(V v) {
  return _mm256_extracti128_si256(v, 1);
}
/// The block in that lane; lane 0 is left alone.
HIPD_GCM_INLINE V placed(V v, __m128i block, std::size_t lane) {
  return lane == 0 ? v : _mm256_inserti128_si256(v, block, 1);
}
HIPD_GCM_INLINE V spread(__m128i block) {
  return _mm256_broadcastsi128_si256(block);
}
HIPD_GCM_INLINE V widen(__m128i block) {
  return _mm256_zextsi128_si256(block);
}
HIPD_GCM_INLINE __m128i laneSum(V v) {
  return _mm_xor_si128(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}
HIPD_GCM_INLINE V encrypt(V state, V key) {
  return _mm256_aesenc_epi128(state, key);
}
HIPD_GCM_INLINE V encryptLast(V state, V key) {
  return _mm256_aesenclast_epi128(state, key);
}
template <int kHalves>
HIPD_GCM_INLINE V multiply(V a, V b) {
  return _mm256_clmulepi64_epi128(a, b, kHalves);
}
HIPD_GCM_INLINE V shuffle(V v, V order) {
  return _mm256_shuffle_epi8(v, order);
}
HIPD_GCM_INLINE V swapHalves(V v) {
  return _mm256_shuffle_epi32(v, 0x4e);
}

#include "gcm_kernel.h"

}  // namespace

extern const GcmKernel kGcmVaesAvx2;
const GcmKernel kGcmVaesAvx2{"vaes-avx2", seal, open};

}  // namespace hipd

#endif
