// The AES-GCM kernel with one block a vector: AES-NI and PCLMULQDQ, in the three-operand encoding that came with AVX.
#if defined(__x86_64__)

#include <immintrin.h>

#include "gcm.h"

#define HIPD_GCM_TARGET __attribute__((target("aes,pclmul,ssse3,sse4.1,avx")))
#define HIPD_GCM_INLINE HIPD_GCM_TARGET __attribute__((always_inline)) inline

namespace hipd {
namespace {

using V = __m128i;
constexpr std::size_t kLanes = 1;
constexpr std::size_t kVectors = 8;

HIPD_GCM_INLINE V load(const std::uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const V*>(p));
}
HIPD_GCM_INLINE void store(std::uint8_t* p, V v) {
  _mm_storeu_si128(reinterpret_cast<V*>(p), v);
}
HIPD_GCM_INLINE V add(V a, V b) {
  return _mm_xor_si128(a, b);
}
HIPD_GCM_INLINE V both(V a, V b) {
  return _mm_and_si128(a, b);
}

#include "gcm_maskless.h"

HIPD_GCM_INLINE V withSecond(V, __m128i block) {
  return block;
}
HIPD_GCM_INLINE __m128i secondOf(V v) {
  return v;
}
/// There is but one lane, and it is taken.
HIPD_GCM_INLINE V placed(V v, __m128i, std::size_t) {
  return v;
}
HIPD_GCM_INLINE V spread(__m128i block) {
  return block;
}
HIPD_GCM_INLINE V widen(__m128i block) {
  return block;
}
HIPD_GCM_INLINE __m128i laneSum(V v) {
  return v;
}
HIPD_GCM_INLINE V encrypt(V state, V key) {
  return _mm_aesenc_si128(state, key);
}
HIPD_GCM_INLINE V encryptLast(V state, V key) {
  return _mm_aesenclast_si128(state, key);
}
template <int kHalves>
HIPD_GCM_INLINE V multiply(V a, V b) {
  return _mm_clmulepi64_si128(a, b, kHalves);
}
HIPD_GCM_INLINE V shuffle(V v, V order) {
  return _mm_shuffle_epi8(v, order);
}
HIPD_GCM_INLINE V swapHalves(V v) {
  return _mm_shuffle_epi32(v, 0x4e);
}

#include "gcm_kernel.h"

}  // namespace

extern const GcmKernel kGcmAesNi;
const GcmKernel kGcmAesNi{"aes-ni", seal, open};

}  // namespace hipd

#endif
