// The header that stands before each packet of a TUN device with IFF_VNET_HDR: what is still to be done to the packet
// (virtio 1.2, 5.1.6; linux/virtio_net.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace hipd {

/// In the machine's byte order.
struct VirtioHeader {
  std::uint8_t flags = 0;
  std::uint8_t gsoType = 0;
  /// Length of all headers; a hint.
  std::uint16_t headerLength = 0;
  /// Data bytes of each segment.
  std::uint16_t gsoSize = 0;
  /// With kNeedsChecksum: what the checksum covers from here to the end, and where in there it belongs. Its field
  /// holds the pseudo header's sum.
  std::uint16_t checksumStart = 0;
  std::uint16_t checksumOffset = 0;
};
static_assert(sizeof(VirtioHeader) == 10);

namespace virtio {
inline constexpr std::uint8_t kNeedsChecksum = 1;
inline constexpr std::uint8_t kGsoNone = 0;
inline constexpr std::uint8_t kGsoTcp4 = 1;
inline constexpr std::uint8_t kGsoTcp6 = 4;
inline constexpr std::uint8_t kGsoUdp = 5;
/// Beside a TCP type: the first segment has CWR.
inline constexpr std::uint8_t kGsoEcn = 0x80;
}  // namespace virtio

}  // namespace hipd
