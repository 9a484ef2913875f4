#include "checksum.h"

#include <bit>

namespace hipd {

std::uint64_t sumBytes(View bytes, std::uint64_t sum) {
  // Words are added in the machine's order, which commutes with the one's complement sum (RFC 1071 2 B), and swapped
  // once.
  const std::uint8_t* p = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t native = 0;
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
