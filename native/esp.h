// ESP (RFC 4303) in the transport format, with 64-bit sequence numbers of which the lower half is sent (RFC
// 7402 3.3.6).
#pragma once

#include "aead.h"
#include "sa.h"
#include "types.h"
#include "verdict.h"

namespace hipd::esp {

/// SPI and the lower half of the sequence number.
inline constexpr std::size_t kHeaderLength = 8;
/// Pad Length and Next Header.
inline constexpr std::size_t kTrailerLength = 2;
/// The longest padding that our alignments need, with the trailer behind it.
inline constexpr std::size_t kMaxTrailer = 15 + kTrailerLength;
/// Pieces of one payload.
inline constexpr std::size_t kMaxPieces = 8;
/// The integrity failures in a row after which one packet is also tried with later upper halves (RFC 4303 A3.1).
inline constexpr std::uint32_t kResyncEvery = 1024;
/// How many later upper halves are tried (RFC 4303 A3.2).
inline constexpr std::uint32_t kResyncTries = 4;

/// Length of the whole ESP packet, from SPI to ICV, for a payload.
std::size_t sealedLength(const SuiteShape& shape, std::size_t payloadLength);
/// The largest payload whose ESP packet fits `espLength` bytes; 0 when none does.
std::size_t payloadCapacity(const SuiteShape& shape, std::size_t espLength);

/// The SPI field. `packet` has at least 4 bytes.
inline std::uint32_t spiOf(View packet) {
  return load32(packet.data());
}

/// Seals one packet with a keyed cipher: the inner loop for a run of sequence numbers reserved at once.
/// @param payload up to kMaxPieces. Sealing in place: one piece at out.data() + kHeaderLength + shape.ivLength.
///        Otherwise `payload` and `out` do not overlap.
/// @param out at least sealedLength() bytes. @param written the length of the ESP packet.
/// @return Ok, BufferSmall or SealFailed.
Verdict sealWith(Cipher& cipher, const SuiteShape& shape, const EspHeader& header, std::uint8_t nextHeader,
                 Pieces payload, Bytes out, std::size_t& written);

/// As sealWith, for one payload that has kMaxTrailer writable bytes behind it: they are overwritten, and nothing is
/// copied.
Verdict sealSpoiling(Cipher& cipher, const SuiteShape& shape, const EspHeader& header, std::uint8_t nextHeader,
                     Bytes payload, Bytes out, std::size_t& written);

/// What seal made.
struct Sealed {
  std::size_t length = 0;
  /// This packet is the one that makes the SA ask for new keys.
  bool softExpiry = false;
};

/// Reserves one sequence number and seals one packet. Counts it in the SA.
/// @param spi sa.spi() or sa.lsiSpi(). @return Ok, SaExhausted, BufferSmall or SealFailed.
Verdict seal(CipherCache& cache, OutboundSa& sa, std::uint32_t spi, std::uint8_t nextHeader, Pieces payload, Bytes out,
             Sealed& sealed);

/// As seal, with the payload in `frame`, which becomes the ESP packet. Needs 16 + 8 bytes of headroom and kTailroom.
Verdict sealInPlace(CipherCache& cache, OutboundSa& sa, std::uint32_t spi, std::uint8_t nextHeader, Frame& frame,
                    Sealed& sealed);

/// What open found.
struct Opened {
  std::uint64_t sequence = 0;
  std::uint8_t nextHeader = 0;
  /// It came under lsiSpi: at the sender it was IPv4 between LSIs.
  bool lsi = false;
  /// The SA's first valid packet.
  bool firstInbound = false;
};

/// Checks, decrypts in place and remembers one ESP packet. `frame` holds it from SPI to ICV, and afterwards the
/// payload without padding. Counts it in the SA. Does not look at addresses (RFC 7402 6.2).
/// @return Ok, Dummy, EspTruncated, EspAlignment, EspReplay, EspStale, EspAuth, EspPadding or UnknownSpi (the packet's
///         SPI is not one of this SA). After anything but Ok and Dummy the buffer's content is garbage.
Verdict open(CipherCache& cache, InboundSa& sa, Frame& frame, Opened& opened);
/// The same with the SA's cipher, for whoever opens many in a row. Counts nothing in the SA.
/// @param scratch memory for one packet.
Verdict openWith(Cipher& cipher, Bytes scratch, InboundSa& sa, Frame& frame, Opened& opened);

}  // namespace hipd::esp
