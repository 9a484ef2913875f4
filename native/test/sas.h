// SAs for the tests: each suite with keys of the right sizes.
#pragma once

#include "../sa.h"
#include "packets.h"

namespace hipd::test {

inline SaParameters parametersOf(Suite suite, const Octets& encryption, const Octets& integrity, std::uint32_t spi,
                                 std::uint32_t lsiSpi = 0) {
  SaParameters parameters;
  parameters.spi = spi;
  parameters.lsiSpi = lsiSpi;
  parameters.suite = suite;
  parameters.encryptionKey = encryption;
  parameters.integrityKey = integrity;
  return parameters;
}

/// Keys of the right sizes.
struct TestSa {
  Octets encryption;
  Octets integrity;
  SaParameters parameters;

  explicit TestSa(const SuiteShape& shape, bool large = false, std::uint32_t lsiSpi = 0)
      : encryption(Dice(7).bytes(shape.encryptionKeyLengths[large ? 1 : 0])),
        integrity(Dice(8).bytes(shape.integrityKeyLength)),
        parameters(parametersOf(shape.suite, encryption, integrity, 0x1234, lsiSpi)) {}
};

constexpr Suite kSuites[] = {Suite::NullHmacSha256, Suite::Aes128CbcHmacSha256, Suite::Aes256CbcHmacSha256,
                             Suite::AesGcm8, Suite::AesGcm16};

}  // namespace hipd::test
