// The back-end of our own AES-GCM kernels. Other suites are OpenSSL's.
#include <openssl/crypto.h>

#include <string>

#include "backend.h"
#include "gcm.h"

namespace hipd {
namespace {

/// AES-GCM in ESP (RFC 4106). The IV is the 64-bit sequence number, which no two packets under one key share.
class BuiltinGcm final : public Cipher {
 public:
  BuiltinGcm(const GcmKernel& kernel, std::size_t icvLength) : kernel_(kernel), icvLength_(icvLength) {}

  bool key(const Keys& keys) override {
    salt_ = load32(keys.salt().data());
    key_.expand(keys.encryptionKey());
    return true;
  }

  Verdict seal(const EspHeader& header, Pieces plain, Bytes out) override {
    std::uint8_t* const text = out.data() + kGcmIv;
    const std::size_t length = out.size() - kGcmIv - icvLength_;
    store64(out.data(), header.sequence);
    const GcmInput input(header, salt_, header.sequence);
    std::array<std::uint8_t, kGcmTag> tag;
    kernel_.seal(key_, {input.nonce.data(), input.aad.data(), linear(plain, text), text, length}, tag.data());
    std::memcpy(text + length, tag.data(), icvLength_);
    return Verdict::Ok;
  }

  Verdict open(const EspHeader& header, View sealed, std::uint8_t* out) override {
    const std::uint8_t* const text = sealed.data() + kGcmIv;
    const std::size_t length = sealed.size() - kGcmIv - icvLength_;
    // In place, the ICV stays where it is: the text ends before it.
    const GcmInput input(header, salt_, load64(sealed.data()));
    std::array<std::uint8_t, kGcmTag> tag;
    kernel_.open(key_, {input.nonce.data(), input.aad.data(), text, out, length}, tag.data());
    return CRYPTO_memcmp(tag.data(), text + length, icvLength_) == 0 ? Verdict::Ok : Verdict::EspAuth;
  }

 private:
  GcmKey key_;
  const GcmKernel& kernel_;
  std::size_t icvLength_;
  std::uint32_t salt_ = 0;
};

class Builtin final : public Backend {
 public:
  explicit Builtin(const GcmKernel& kernel) : kernel_(kernel), name_("builtin ") { name_ += kernel.name; }

  std::string_view name() const override { return name_; }

  std::unique_ptr<Cipher> make(Suite suite, Direction direction, std::size_t keyLength) const override {
    if (!isGcm(suite)) return opensslBackend().make(suite, direction, keyLength);
    return std::make_unique<BuiltinGcm>(kernel_, suiteShape(suite).icvLength);
  }

 private:
  const GcmKernel& kernel_;
  std::string name_;
};

}  // namespace

std::vector<const Backend*> builtinBackends() {
  std::vector<const Backend*> all;
  for (const GcmKernel* kernel : gcmKernels()) all.push_back(new Builtin(*kernel));
  return all;
}

}  // namespace hipd
