// AES-GCM (NIST SP 800-38D) in terms of vectors of one, two or four blocks. Included by the files that say what such a
// vector is, inside an anonymous namespace of each; so it has no include guard.
//
// A packet is one stream of blocks, numbered by their counters: block 0 is nobody's, block 1 gives the tag's mask and
// is the AAD for the hash, the text begins at block 2. So chunks of several vectors begin at multiples of their size,
// and within a chunk only a counter's low bits differ. The ciphertext of a chunk is hashed as one sum of products with
// descending powers of H and reduced once; when sealing, the chunk before is hashed, so that AES and carry-less
// multiplication do not wait for each other. GHASH is computed as POLYVAL (RFC 8452 A): blocks are byte reversed, H was
// multiplied by x beforehand, and sums are reduced from below (Montgomery), which needs no shifts of bits.
//
// The includer defines HIPD_GCM_TARGET (attribute of functions) and HIPD_GCM_INLINE (the same, always inlined); V,
// kLanes, kVectors (a chunk is a power of two of blocks); and the functions of vectors.

#if defined(__clang__)
#define HIPD_GCM_UNROLL _Pragma("unroll")
#else
#define HIPD_GCM_UNROLL _Pragma("GCC unroll 16")
#endif

constexpr std::size_t kVectorBytes = 16 * kLanes;
constexpr std::size_t kChunkBlocks = kLanes * kVectors;
constexpr std::size_t kChunkBytes = 16 * kChunkBlocks;
/// Bytes of the stream before the text.
constexpr std::size_t kBefore = 32;
/// The vectors that hold blocks 0 and 1, and the bytes of text in the last one of them.
constexpr std::size_t kHeadVectors = kLanes == 1 ? 2 : 1;
constexpr std::size_t kHeadText = kLanes == 4 ? kVectorBytes - kBefore : 0;
/// Of AES-128 and of AES-256.
constexpr std::size_t kRounds = 10;
constexpr std::size_t kMoreRounds = 14;
static_assert(kChunkBlocks < kGcmPowers && (kChunkBlocks & (kChunkBlocks - 1)) == 0 && kVectors <= 8);

/// The low bits of a chunk's counters, in the order of memory.
struct Counters {
  alignas(64) std::uint8_t vectors[kVectors][kVectorBytes];
};

constexpr Counters countersOfChunk() {
  Counters counters{};
  for (std::size_t n = 0; n < kChunkBlocks; n++) {
    counters.vectors[n / kLanes][n % kLanes * 16 + 15] = static_cast<std::uint8_t>(n);
  }
  return counters;
}

constexpr Counters kCounters = countersOfChunk();

/// A sum of products, not yet reduced.
struct Sum {
  V low;
  V middle;
  V other;
  V high;
};

HIPD_GCM_INLINE Sum product(V x, V h) {
  return {multiply<0x00>(x, h), multiply<0x01>(x, h), multiply<0x10>(x, h), multiply<0x11>(x, h)};
}

HIPD_GCM_INLINE Sum plus(const Sum& a, const Sum& b) {
  return {add(a.low, b.low), add(a.middle, b.middle), add(a.other, b.other), add(a.high, b.high)};
}

HIPD_GCM_INLINE Sum plus(const Sum& a, const Sum& b, const Sum& c) {
  return {add(a.low, b.low, c.low), add(a.middle, b.middle, c.middle), add(a.other, b.other, c.other),
          add(a.high, b.high, c.high)};
}

/// Adds up products as they come, where possible two at a time.
struct Hasher {
  Sum sum;
  Sum held;
};

HIPD_GCM_INLINE void take(Hasher& hasher, std::size_t index, bool last, const Sum& now) {
  if (index == 0) {
    hasher.sum = now;
  } else if (index % 2 == 0) {
    hasher.sum = plus(hasher.sum, hasher.held, now);
  } else if (last) {
    hasher.sum = plus(hasher.sum, now);
  } else {
    hasher.held = now;
  }
}

HIPD_GCM_INLINE __m128i reduce(const Sum& sum) {
  // x^63 + x^62 + x^57: the field's polynomial without its ends.
  const V polynomial = spread(_mm_set_epi64x(0, static_cast<long long>(0xc200000000000000ULL)));
  const V middle = add(add(sum.middle, sum.other), swapHalves(sum.low), multiply<0x00>(sum.low, polynomial));
  return laneSum(add(sum.high, swapHalves(middle), multiply<0x00>(middle, polynomial)));
}

HIPD_GCM_INLINE __m128i loadBlock(const std::uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

HIPD_GCM_INLINE __m128i reverseOrder() {
  return _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

HIPD_GCM_INLINE const std::uint8_t* power(const GcmKey& key, std::size_t exponent) {
  return key.powers[3 + kGcmPowers - exponent];
}

/// Vector v's share of a whole chunk's hash. `y` is what came before the chunk.
HIPD_GCM_INLINE Sum share(const GcmKey& key, V blocks, std::size_t v, __m128i y) {
  V x = shuffle(blocks, spread(reverseOrder()));
  if (v == 0) x = add(x, widen(y));
  return product(x, load(power(key, kChunkBlocks - v * kLanes)));
}

/// Twelve bytes, and a number in network order.
HIPD_GCM_INLINE __m128i blockOf(const std::uint8_t* bytes, std::uint32_t number) {
  std::uint64_t low = 0;
  std::uint32_t high = 0;
  std::memcpy(&low, bytes, sizeof low);
  std::memcpy(&high, bytes + sizeof low, sizeof high);
  const std::uint64_t upper = (std::uint64_t{__builtin_bswap32(number)} << 32) | high;
  return _mm_set_epi64x(static_cast<long long>(upper), static_cast<long long>(low));
}

/// What goes into the first round at byte `at` of the stream, but for the counters' low bits.
HIPD_GCM_INLINE V counterBlocks(const GcmKey& key, const GcmPacket& packet, std::size_t at) {
  return spread(_mm_xor_si128(blockOf(packet.nonce, static_cast<std::uint32_t>(at / 16)), loadBlock(key.round[0])));
}

/// What the vector with block 1 gives to the hash: the AAD, and the text beside it.
HIPD_GCM_INLINE V headOf(const GcmPacket& packet, V text) {
  return withSecond(text, blockOf(packet.aad, 0));
}

/// The rounds that AES-256 has beyond AES-128's.
template <std::size_t kCount>
HIPD_GCM_INLINE void moreRounds(const GcmKey& key, V* state) {
  if (key.rounds == kRounds) return;
  HIPD_GCM_UNROLL
  for (std::size_t r = kRounds; r < kMoreRounds; r++) {
    const V k = spread(loadBlock(key.round[r]));
    HIPD_GCM_UNROLL
    for (std::size_t v = 0; v < kCount; v++) state[v] = encrypt(state[v], k);
  }
}

/// One whole chunk, which begins at byte `at` of the stream.
/// @param held the ciphertext that is not hashed yet, when sealing. @param y the hash of what came before it.
/// @param mask the tag's mask, which the first chunk gives.
template <bool kSeal, bool kFirst>
HIPD_GCM_INLINE void chunk(const GcmKey& key, const GcmPacket& packet, std::size_t at, V (&held)[kVectors], __m128i& y,
                           __m128i& mask) {
  V data[kVectors];
  V state[kVectors];
  const V first = counterBlocks(key, packet, at);
  HIPD_GCM_UNROLL
  for (std::size_t v = 0; v < kVectors; v++) {
    if (kFirst && v < kHeadVectors) {
      data[v] = loadHead(packet.in, kHeadText);
      if (!kSeal) held[v] = v + 1 == kHeadVectors ? headOf(packet, data[v]) : V{};
    } else {
      data[v] = load(packet.in + (at + v * kVectorBytes - kBefore));
      if (!kSeal) held[v] = data[v];
    }
    state[v] = add(first, load(kCounters.vectors[v]));
  }

  constexpr bool kHash = !(kSeal && kFirst);
  Hasher hasher{};
  HIPD_GCM_UNROLL
  for (std::size_t r = 1; r < kRounds; r++) {
    const V k = spread(loadBlock(key.round[r]));
    HIPD_GCM_UNROLL
    for (std::size_t v = 0; v < kVectors; v++) state[v] = encrypt(state[v], k);
    const std::size_t v = r - 1;
    if (kHash && v < kVectors) take(hasher, v, v + 1 == kVectors, share(key, held[v], v, y));
    if (kHash && v == kVectors) y = reduce(hasher.sum);
  }
  moreRounds<kVectors>(key, state);

  const V last = spread(loadBlock(key.round[key.rounds]));
  HIPD_GCM_UNROLL
  for (std::size_t v = 0; v < kVectors; v++) {
    // The last round adds its key at its end, so the data may be added to the key beforehand.
    const V result = encryptLast(state[v], add(data[v], last));
    if (kFirst && v < kHeadVectors) {
      storeHead(packet.out, result, kHeadText);
      if (v + 1 == kHeadVectors) mask = secondOf(result);
      if (kSeal) held[v] = v + 1 == kHeadVectors ? headOf(packet, result) : V{};
    } else {
      store(packet.out + (at + v * kVectorBytes - kBefore), result);
      if (kSeal) held[v] = result;
    }
  }
}

/// The rest of the stream from byte `at`: kCount vectors, the last of which holds 1 to kVectorBytes bytes. Then the
/// lengths, and the tag.
template <bool kSeal, bool kFirst, std::size_t kCount>
HIPD_GCM_INLINE void finish(const GcmKey& key, const GcmPacket& packet, std::size_t at, V (&held)[kVectors], __m128i y,
                            __m128i mask, std::uint8_t* tag) {
  const std::size_t rest = packet.length + kBefore - at;
  const std::size_t blocks = (rest + 15) / 16;
  const std::size_t lane = blocks % kLanes;
  const std::size_t part = rest - (kCount - 1) * kVectorBytes;
  // The lengths of AAD and text in bits are the last block; here it is byte reversed already.
  const __m128i lengths =
      _mm_set_epi64x(static_cast<long long>(8 * kGcmAad), static_cast<long long>(8 * packet.length));

  V state[kCount + 1];
  const V first = counterBlocks(key, packet, at);
  HIPD_GCM_UNROLL
  for (std::size_t v = 0; v < kCount; v++) state[v] = add(first, load(kCounters.vectors[v]));
  HIPD_GCM_UNROLL
  for (std::size_t r = 1; r < kRounds; r++) {
    const V k = spread(loadBlock(key.round[r]));
    HIPD_GCM_UNROLL
    for (std::size_t v = 0; v < kCount; v++) state[v] = encrypt(state[v], k);
  }
  moreRounds<kCount>(key, state);
  if (kSeal && !kFirst) {
    Hasher hasher{};
    HIPD_GCM_UNROLL
    for (std::size_t v = 0; v < kVectors; v++) take(hasher, v, v + 1 == kVectors, share(key, held[v], v, y));
    y = reduce(hasher.sum);
  }

  const V last = spread(loadBlock(key.round[key.rounds]));
  const std::uint8_t* const h = power(key, blocks + 1);
  Hasher hasher{};
  HIPD_GCM_UNROLL
  for (std::size_t v = 0; v < kCount; v++) {
    const bool head = kFirst && v < kHeadVectors;
    const bool whole = v + 1 < kCount;
    const std::size_t from = at + v * kVectorBytes - kBefore;
    const std::size_t text = whole ? kHeadText : part - kBefore;
    const V data = head ? loadHead(packet.in, text) : whole ? load(packet.in + from) : loadPart(packet.in + from, part);
    const V result = encryptLast(state[v], add(data, last));
    if (head) {
      storeHead(packet.out, result, text);
      if (v + 1 == kHeadVectors) mask = secondOf(result);
    } else if (whole) {
      store(packet.out + from, result);
    } else {
      storePart(packet.out + from, result, part);
    }
    V hashed = !kSeal ? data : whole ? result : keepPart(result, part);
    if (head) hashed = v + 1 == kHeadVectors ? headOf(packet, hashed) : V{};
    V x = shuffle(hashed, spread(reverseOrder()));
    if (v == 0 && !kFirst) x = add(x, widen(y));
    // The lengths take a free lane, if there is one.
    if (!whole) x = placed(x, lengths, lane);
    take(hasher, v, !whole, product(x, load(h + v * kVectorBytes)));
  }
  if (kCount == 0) {
    hasher.sum = product(widen(_mm_xor_si128(lengths, y)), load(power(key, 1)));
  } else if (lane == 0) {
    hasher.sum = plus(hasher.sum, product(widen(lengths), load(power(key, 1))));
  }
  const __m128i hash = _mm_shuffle_epi8(reduce(hasher.sum), reverseOrder());
  _mm_storeu_si128(reinterpret_cast<__m128i*>(tag), _mm_xor_si128(hash, mask));
}

template <bool kSeal, bool kFirst>
HIPD_GCM_INLINE void finishAny(const GcmKey& key, const GcmPacket& packet, std::size_t at, V (&held)[kVectors],
                               __m128i y, __m128i mask, std::uint8_t* tag) {
  switch ((packet.length + kBefore - at + kVectorBytes - 1) / kVectorBytes) {
#define HIPD_GCM_CASE(n)                                             \
  case n:                                                            \
    if constexpr (n <= kVectors && (!kFirst || n >= kHeadVectors)) { \
      finish<kSeal, kFirst, n>(key, packet, at, held, y, mask, tag); \
    }                                                                \
    break;
    HIPD_GCM_CASE(0)
    HIPD_GCM_CASE(1)
    HIPD_GCM_CASE(2)
    HIPD_GCM_CASE(3)
    HIPD_GCM_CASE(4)
    HIPD_GCM_CASE(5)
    HIPD_GCM_CASE(6)
    HIPD_GCM_CASE(7)
    HIPD_GCM_CASE(8)
#undef HIPD_GCM_CASE
  }
}

template <bool kSeal>
HIPD_GCM_TARGET void run(const GcmKey& key, const GcmPacket& given, std::uint8_t* tag) {
  // A copy, which the text cannot overlap: its members stay in registers.
  const GcmPacket packet = given;
  V held[kVectors]{};
  __m128i y = _mm_setzero_si128();
  __m128i mask = y;
  const std::size_t end = packet.length + kBefore;
  if (end < kChunkBytes) {
    finishAny<kSeal, true>(key, packet, 0, held, y, mask, tag);
    return;
  }
  chunk<kSeal, true>(key, packet, 0, held, y, mask);
  std::size_t at = kChunkBytes;
  for (; end - at >= kChunkBytes; at += kChunkBytes) chunk<kSeal, false>(key, packet, at, held, y, mask);
  finishAny<kSeal, false>(key, packet, at, held, y, mask, tag);
}

HIPD_GCM_TARGET void seal(const GcmKey& key, const GcmPacket& packet, std::uint8_t* tag) {
  run<true>(key, packet, tag);
}

HIPD_GCM_TARGET void open(const GcmKey& key, const GcmPacket& packet, std::uint8_t* tag) {
  run<false>(key, packet, tag);
}
