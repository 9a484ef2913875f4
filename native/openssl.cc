// The portable back-end: OpenSSL's EVP interface, with contexts that are keyed once and used for many packets.
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>

#include <string>

#include "backend.h"

namespace hipd {
namespace {

constexpr std::size_t kSpiAndSequence = 8;

struct FreeCipherContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
struct FreeMacContext {
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeCipherContext>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, FreeMacContext>;

/// Algorithms looked up once. Lives for ever: OpenSSL frees its own tables at exit in its own order.
struct Algorithms {
  EVP_CIPHER* gcm128 = EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr);
  EVP_CIPHER* gcm256 = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  EVP_CIPHER* cbc128 = EVP_CIPHER_fetch(nullptr, "AES-128-CBC", nullptr);
  EVP_CIPHER* cbc256 = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
  EVP_CIPHER* ecb128 = EVP_CIPHER_fetch(nullptr, "AES-128-ECB", nullptr);
  EVP_MAC* hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
};

const Algorithms& algorithms() {
  static const Algorithms* const all = new Algorithms();
  return *all;
}

int lengthOf(std::size_t size) {
  return static_cast<int>(size);
}

CipherContext makeContext(const EVP_CIPHER* cipher, bool encrypt) {
  CipherContext context(EVP_CIPHER_CTX_new());
  if (cipher == nullptr || context == nullptr) return nullptr;
  if (EVP_CipherInit_ex(context.get(), cipher, nullptr, nullptr, nullptr, encrypt ? 1 : 0) != 1) return nullptr;
  return context;
}

/// AES-GCM in ESP (RFC 4106). The IV is the 64-bit sequence number, which no two packets under one key share.
/// The tag goes through a parameter made once: EVP_CIPHER_CTX_ctrl would make and look up its own for each packet.
class Gcm final : public Cipher {
 public:
  Gcm(CipherContext context, std::size_t icvLength, bool encrypt)
      : context_(std::move(context)), icvLength_(icvLength), encrypt_(encrypt) {
    parameters_[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag_.data(), icvLength);
    parameters_[1] = OSSL_PARAM_construct_end();
  }

  bool key(const Keys& keys) override {
    salt_ = load32(keys.salt().data());
    return EVP_CipherInit_ex(context_.get(), nullptr, nullptr, keys.encryptionKey().data(), nullptr,
                             encrypt_ ? 1 : 0) == 1;
  }

  Verdict seal(const EspHeader& header, Pieces plain, Bytes out) override {
    std::uint8_t* const text = out.data() + kGcmIv;
    const std::size_t length = out.size() - kGcmIv - icvLength_;
    store64(out.data(), header.sequence);
    const GcmInput input(header, salt_, header.sequence);
    int done = 0;
    if (EVP_EncryptInit_ex2(context_.get(), nullptr, nullptr, input.nonce.data(), nullptr) != 1 ||
        EVP_EncryptUpdate(context_.get(), nullptr, &done, input.aad.data(), lengthOf(input.aad.size())) != 1 ||
        EVP_EncryptUpdate(context_.get(), text, &done, linear(plain, text), lengthOf(length)) != 1 ||
        EVP_EncryptFinal_ex(context_.get(), text + length, &done) != 1 ||
        EVP_CIPHER_CTX_get_params(context_.get(), parameters_.data()) != 1) {
      return Verdict::SealFailed;
    }
    std::memcpy(text + length, tag_.data(), icvLength_);
    return Verdict::Ok;
  }

  Verdict open(const EspHeader& header, View sealed, std::uint8_t* out) override {
    const std::size_t length = sealed.size() - kGcmIv - icvLength_;
    const std::uint8_t* const text = sealed.data() + kGcmIv;
    std::memcpy(tag_.data(), text + length, icvLength_);
    const GcmInput input(header, salt_, load64(sealed.data()));
    int done = 0;
    if (EVP_DecryptInit_ex2(context_.get(), nullptr, nullptr, input.nonce.data(), nullptr) != 1 ||
        EVP_DecryptUpdate(context_.get(), nullptr, &done, input.aad.data(), lengthOf(input.aad.size())) != 1 ||
        EVP_DecryptUpdate(context_.get(), out, &done, text, lengthOf(length)) != 1 ||
        EVP_CIPHER_CTX_set_params(context_.get(), parameters_.data()) != 1 ||
        EVP_DecryptFinal_ex(context_.get(), out + length, &done) != 1) {
      return Verdict::EspAuth;
    }
    return Verdict::Ok;
  }

 private:
  CipherContext context_;
  std::array<std::uint8_t, 16> tag_{};
  std::array<OSSL_PARAM, 2> parameters_;
  std::size_t icvLength_;
  std::uint32_t salt_ = 0;
  bool encrypt_;
};

/// AES-CBC (RFC 3602) or no encryption (RFC 2410), and HMAC-SHA-256-128 (RFC 4868) over the ciphertext.
class CbcHmac final : public Cipher {
 public:
  /// @param cipher, ivCipher null for suite 7; ivCipher null for inbound.
  CbcHmac(CipherContext cipher, CipherContext ivCipher, MacContext mac, bool encrypt)
      : cipher_(std::move(cipher)), ivCipher_(std::move(ivCipher)), mac_(std::move(mac)), encrypt_(encrypt) {}

  bool key(const Keys& keys) override {
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                     OSSL_PARAM_construct_end()};
    const View integrity = keys.integrityKey();
    if (EVP_MAC_init(mac_.get(), integrity.data(), integrity.size(), parameters) != 1) return false;
    if (cipher_ != nullptr && EVP_CipherInit_ex(cipher_.get(), nullptr, nullptr, keys.encryptionKey().data(), nullptr,
                                                encrypt_ ? 1 : 0) != 1) {
      return false;
    }
    return ivCipher_ == nullptr || keyIv();
  }

  Verdict seal(const EspHeader& header, Pieces plain, Bytes out) override {
    const std::size_t ivLength = cipher_ == nullptr ? 0 : kIvLength;
    std::uint8_t* const text = out.data() + ivLength;
    const std::size_t length = out.size() - ivLength - kIcvLength;
    const std::uint8_t* const source = linear(plain, text);
    int done = 0;
    if (cipher_ == nullptr) {
      if (source != text) std::memcpy(text, source, length);
    } else {
      std::array<std::uint8_t, kIvLength> counter{};
      store64(counter.data() + 8, header.sequence);
      if (EVP_EncryptUpdate(ivCipher_.get(), out.data(), &done, counter.data(), lengthOf(counter.size())) != 1 ||
          !start(out.data()) || EVP_EncryptUpdate(cipher_.get(), text, &done, source, lengthOf(length)) != 1) {
        return Verdict::SealFailed;
      }
    }
    std::array<std::uint8_t, kDigestLength> icv;
    if (!authenticate(header, out.first(ivLength + length), icv)) return Verdict::SealFailed;
    std::memcpy(text + length, icv.data(), kIcvLength);
    return Verdict::Ok;
  }

  Verdict open(const EspHeader& header, View sealed, std::uint8_t* out) override {
    const std::size_t ivLength = cipher_ == nullptr ? 0 : kIvLength;
    const std::size_t length = sealed.size() - ivLength - kIcvLength;
    std::array<std::uint8_t, kDigestLength> icv;
    if (!authenticate(header, sealed.first(ivLength + length), icv) ||
        CRYPTO_memcmp(icv.data(), sealed.data() + ivLength + length, kIcvLength) != 0) {
      return Verdict::EspAuth;
    }
    const std::uint8_t* const text = sealed.data() + ivLength;
    int done = 0;
    if (cipher_ == nullptr) {
      if (out != text) std::memcpy(out, text, length);
    } else if (!start(sealed.data()) || EVP_DecryptUpdate(cipher_.get(), out, &done, text, lengthOf(length)) != 1) {
      return Verdict::EspAuth;
    }
    return Verdict::Ok;
  }

 private:
  static constexpr std::size_t kIvLength = 16;
  static constexpr std::size_t kIcvLength = 16;
  static constexpr std::size_t kDigestLength = 32;

  /// CBC needs an IV that nobody can foretell (RFC 3602 3): the sequence number, enciphered under a key of its own that
  /// follows from the integrity key. The label cannot be the input of a packet's ICV, which is longer.
  bool keyIv() {
    static constexpr std::uint8_t label[] = {'h', 'i', 'p', 'd', ' ', 'e', 's', 'p', ' ', 'i', 'v'};
    std::array<std::uint8_t, kDigestLength> derived;
    std::size_t length = 0;
    const bool ok = EVP_MAC_init(mac_.get(), nullptr, 0, nullptr) == 1 &&
                    EVP_MAC_update(mac_.get(), label, sizeof label) == 1 &&
                    EVP_MAC_final(mac_.get(), derived.data(), &length, derived.size()) == 1 &&
                    EVP_EncryptInit_ex(ivCipher_.get(), nullptr, nullptr, derived.data(), nullptr) == 1 &&
                    EVP_CIPHER_CTX_set_padding(ivCipher_.get(), 0) == 1;
    OPENSSL_cleanse(derived.data(), derived.size());
    return ok;
  }

  bool start(const std::uint8_t* iv) {
    return EVP_CipherInit_ex(cipher_.get(), nullptr, nullptr, nullptr, iv, encrypt_ ? 1 : 0) == 1 &&
           EVP_CIPHER_CTX_set_padding(cipher_.get(), 0) == 1;
  }

  /// Over SPI, lower half, IV and ciphertext, and the upper half behind them (RFC 4303 2.2.1, 3.3.2.1).
  bool authenticate(const EspHeader& header, View ivAndText, std::array<std::uint8_t, kDigestLength>& icv) {
    std::array<std::uint8_t, kSpiAndSequence> head;
    std::array<std::uint8_t, 4> high;
    store32(head.data(), header.spi);
    store32(head.data() + 4, static_cast<std::uint32_t>(header.sequence));
    store32(high.data(), static_cast<std::uint32_t>(header.sequence >> 32));
    std::size_t length = 0;
    return EVP_MAC_init(mac_.get(), nullptr, 0, nullptr) == 1 &&
           EVP_MAC_update(mac_.get(), head.data(), head.size()) == 1 &&
           EVP_MAC_update(mac_.get(), ivAndText.data(), ivAndText.size()) == 1 &&
           EVP_MAC_update(mac_.get(), high.data(), high.size()) == 1 &&
           EVP_MAC_final(mac_.get(), icv.data(), &length, icv.size()) == 1;
  }

  CipherContext cipher_;
  CipherContext ivCipher_;
  MacContext mac_;
  bool encrypt_;
};

class OpenSsl final : public Backend {
 public:
  OpenSsl() : name_("openssl ") { name_ += OpenSSL_version(OPENSSL_VERSION_STRING); }

  std::string_view name() const override { return name_; }

  std::unique_ptr<Cipher> make(Suite suite, Direction direction, std::size_t keyLength) const override {
    const Algorithms& all = algorithms();
    const bool encrypt = direction == Direction::Out;
    if (isGcm(suite)) {
      CipherContext context = makeContext(keyLength == 32 ? all.gcm256 : all.gcm128, encrypt);
      if (context == nullptr) return nullptr;
      return std::make_unique<Gcm>(std::move(context), suiteShape(suite).icvLength, encrypt);
    }
    if (all.hmac == nullptr) return nullptr;
    MacContext mac(EVP_MAC_CTX_new(all.hmac));
    if (mac == nullptr) return nullptr;
    CipherContext cipher;
    CipherContext ivCipher;
    if (suite != Suite::NullHmacSha256) {
      cipher = makeContext(keyLength == 32 ? all.cbc256 : all.cbc128, encrypt);
      if (cipher == nullptr) return nullptr;
      if (encrypt) {
        ivCipher = makeContext(all.ecb128, true);
        if (ivCipher == nullptr) return nullptr;
      }
    }
    return std::make_unique<CbcHmac>(std::move(cipher), std::move(ivCipher), std::move(mac), encrypt);
  }

 private:
  std::string name_;
};

}  // namespace

const Backend& opensslBackend() {
  static const OpenSsl* const backend = new OpenSsl();
  return *backend;
}

}  // namespace hipd
