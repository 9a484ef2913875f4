// The Internet checksum against the definition of RFC 1071, at every length and alignment that vector code treats
// apart.
#include "../checksum.h"

#include <cstdint>
#include <random>
#include <vector>

#include "check.h"

using namespace hipd;

namespace {

/// One 16-bit word after the other, as RFC 1071 1 says it.
std::uint16_t slow(const std::uint8_t* bytes, std::size_t length, std::uint64_t sum) {
  for (std::size_t i = 0; i + 1 < length; i += 2) sum += static_cast<std::uint64_t>(bytes[i]) << 8 | bytes[i + 1];
  if (length % 2 != 0) sum += static_cast<std::uint64_t>(bytes[length - 1]) << 8;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

void compare(const std::vector<std::uint8_t>& bytes) {
  for (std::size_t offset = 0; offset < 33; offset++) {
    for (std::size_t length = 0; offset + length <= bytes.size(); length += length < 300 ? 1 : 97) {
      const View view(bytes.data() + offset, length);
      for (const std::uint64_t sum : {std::uint64_t{0}, std::uint64_t{0xffff}, std::uint64_t{0x1234567}}) {
        const std::uint16_t right = slow(view.data(), length, sum);
        CHECK_EQ(foldSum(sumBytes(view, sum)), right);
        for (const SumBy by : {SumBy::Words, SumBy::Avx2, SumBy::Avx512}) {
          if (by <= fastestSum()) CHECK_EQ(foldSum(sumBytesBy(by, view, sum)), right);
        }
      }
    }
  }
}

}  // namespace

int main() {
  std::mt19937 random(1);
  std::vector<std::uint8_t> bytes(9000);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  compare(bytes);
  // Carries everywhere.
  compare(std::vector<std::uint8_t>(9000, 0xff));
  compare(std::vector<std::uint8_t>(9000, 0x00));
  if (fastestSum() < SumBy::Avx2) std::puts("  skipped: sums by AVX2: not on this processor");
  if (fastestSum() < SumBy::Avx512) std::puts("  skipped: sums by AVX-512: not on this processor");
  std::puts("ok  checksums are those of RFC 1071 at every length and alignment");
}
