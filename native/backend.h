// What the back-ends share, and where each of them is found. Only they and the chooser include this.
#pragma once

#include <string>
#include <vector>

#include "aead.h"

namespace hipd {

/// GCM's explicit IV in ESP (RFC 4106 3.1).
inline constexpr std::size_t kGcmIv = 8;

inline bool isGcm(Suite suite) {
  return suite == Suite::AesGcm8 || suite == Suite::AesGcm16;
}

/// Nonce and AAD of one packet: salt and IV (RFC 4106 4); SPI and the whole 64-bit sequence number (RFC 4106 5).
struct GcmInput {
  std::array<std::uint8_t, 12> nonce;
  std::array<std::uint8_t, 12> aad;

  /// @param iv as on the wire: for a sender the sequence number.
  GcmInput(const EspHeader& header, std::uint32_t salt, std::uint64_t iv) {
    store32(nonce.data(), salt);
    store64(nonce.data() + 4, iv);
    store32(aad.data(), header.spi);
    store64(aad.data() + 4, header.sequence);
  }
};

/// The one source to encrypt from: the only piece, or all of them copied to where the ciphertext goes.
inline const std::uint8_t* linear(Pieces plain, std::uint8_t* out) {
  if (plain.size() == 1) return plain[0].data();
  std::uint8_t* p = out;
  for (const View& piece : plain) {
    if (!piece.empty()) std::memcpy(p, piece.data(), piece.size());
    p += piece.size();
  }
  return out;
}

/// Our own kernels on this processor, the fastest first. For each caller new ones.
std::vector<const Backend*> builtinBackends();
/// Intel's library where it is installed; nullptr and the reason in `why`.
const Backend* ipsecMbBackend(std::string& why);

}  // namespace hipd
