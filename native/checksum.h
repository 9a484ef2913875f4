// The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
#pragma once

#include "types.h"

namespace hipd {

/// Adds bytes to a running one's complement sum; an odd last byte counts as the upper half of a word.
std::uint64_t sumBytes(View bytes, std::uint64_t sum = 0);
/// How bytes are summed: each does all that the ones before it do.
enum class SumBy : std::uint8_t { Words, Avx2, Avx512 };
/// What this processor has.
SumBy fastestSum();
/// The same in a way that this processor has: for tests.
std::uint64_t sumBytesBy(SumBy by, View bytes, std::uint64_t sum = 0);
/// Folds a running sum to 16 bits.
std::uint16_t foldSum(std::uint64_t sum);
/// The checksum field's value for a running sum.
inline std::uint16_t checksumOf(std::uint64_t sum) {
  return static_cast<std::uint16_t>(~foldSum(sum));
}

/// The folded sum of the address part of a pseudo header.
std::uint16_t sumAddresses(const Hit& a, const Hit& b);
std::uint16_t sumAddresses(const Lsi& a, const Lsi& b);
/// The part of the pseudo header that both families share: protocol and upper-layer length (RFC 8200 8.1, RFC
/// 9293 3.1).
inline std::uint64_t sumPseudo(std::uint8_t protocol, std::size_t upperLength) {
  return (upperLength >> 16) + (upperLength & 0xffffU) + protocol;
}

/// The new value of a checksum field whose covered sum loses `removed` and gains `added` (RFC 1624 eqn. 3).
std::uint16_t adjustChecksum(std::uint16_t checksum, std::uint64_t removed, std::uint64_t added);

}  // namespace hipd
