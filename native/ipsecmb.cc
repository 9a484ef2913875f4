// The back-end of Intel's library "Multi-Buffer Crypto for IPsec" (Debian: libipsec-mb), found when the program runs:
// neither its headers nor the library are needed to build or to start. Only functions are used whose arguments are
// plain bytes and lengths; none of the library's structures, whose layout changes with its versions, is looked into.
// Suites other than AES-GCM are OpenSSL's.
#include <dlfcn.h>
#include <openssl/crypto.h>

#include <string>

#include "backend.h"
#include "gcm.h"

namespace hipd {

#if defined(__x86_64__)

namespace {

/// Room for its expanded key and for its state of one message; 1.3 takes 1008 and 88 bytes.
constexpr std::size_t kKeyRoom = 4096;
constexpr std::size_t kContextRoom = 512;

using Precompute = void (*)(const void* key, void* expanded);
/// Seals or opens, and writes the tag.
using Crypt = void (*)(const void* expanded, void* context, std::uint8_t* out, const std::uint8_t* in,
                       std::uint64_t length, const std::uint8_t* nonce, const std::uint8_t* aad,
                       std::uint64_t aadLength, std::uint8_t* tag, std::uint64_t tagLength);

struct Functions {
  Precompute precompute = nullptr;
  Crypt seal = nullptr;
  Crypt open = nullptr;

  bool complete() const { return precompute != nullptr && seal != nullptr && open != nullptr; }
};

class IpsecMbGcm final : public Cipher {
 public:
  IpsecMbGcm(const Functions& functions, std::size_t icvLength) : functions_(functions), icvLength_(icvLength) {}
  ~IpsecMbGcm() override {
    OPENSSL_cleanse(expanded_.data(), expanded_.size());
    OPENSSL_cleanse(context_.data(), context_.size());
  }

  bool key(const Keys& keys) override {
    salt_ = load32(keys.salt().data());
    functions_.precompute(keys.encryptionKey().data(), expanded_.data());
    return true;
  }

  Verdict seal(const EspHeader& header, Pieces plain, Bytes out) override {
    std::uint8_t* const text = out.data() + kGcmIv;
    const std::size_t length = out.size() - kGcmIv - icvLength_;
    store64(out.data(), header.sequence);
    const GcmInput input(header, salt_, header.sequence);
    functions_.seal(expanded_.data(), context_.data(), text, linear(plain, text), length, input.nonce.data(),
                    input.aad.data(), input.aad.size(), text + length, icvLength_);
    return Verdict::Ok;
  }

  Verdict open(const EspHeader& header, View sealed, std::uint8_t* out) override {
    const std::uint8_t* const text = sealed.data() + kGcmIv;
    const std::size_t length = sealed.size() - kGcmIv - icvLength_;
    const GcmInput input(header, salt_, load64(sealed.data()));
    std::array<std::uint8_t, kGcmTag> tag;
    functions_.open(expanded_.data(), context_.data(), out, text, length, input.nonce.data(), input.aad.data(),
                    input.aad.size(), tag.data(), icvLength_);
    return CRYPTO_memcmp(tag.data(), text + length, icvLength_) == 0 ? Verdict::Ok : Verdict::EspAuth;
  }

 private:
  alignas(64) std::array<std::uint8_t, kKeyRoom> expanded_{};
  alignas(64) std::array<std::uint8_t, kContextRoom> context_{};
  const Functions& functions_;
  std::size_t icvLength_;
  std::uint32_t salt_ = 0;
};

class IpsecMb final : public Backend {
 public:
  IpsecMb(std::string name, const Functions& aes128, const Functions& aes256)
      : name_(std::move(name)), aes128_(aes128), aes256_(aes256) {}

  std::string_view name() const override { return name_; }

  std::unique_ptr<Cipher> make(Suite suite, Direction direction, std::size_t keyLength) const override {
    if (!isGcm(suite)) return opensslBackend().make(suite, direction, keyLength);
    return std::make_unique<IpsecMbGcm>(keyLength == 32 ? aes256_ : aes128_, suiteShape(suite).icvLength);
  }

 private:
  std::string name_;
  Functions aes128_;
  Functions aes256_;
};

template <class Function>
Function find(void* library, const std::string& name) {
  return reinterpret_cast<Function>(dlsym(library, name.c_str()));
}

Functions functionsFor(void* library, const std::string& bits, const char* kind) {
  const std::string end = bits + "_" + kind;
  return {find<Precompute>(library, "aes_gcm_pre_" + end), find<Crypt>(library, "aes_gcm_enc_" + end),
          find<Crypt>(library, "aes_gcm_dec_" + end)};
}

/// What the library would choose on this machine: IMB_ARCH of its header, from "none" to AVX-512.
int architecture(void* library) {
  const auto allocate = find<void* (*)(std::uint64_t)>(library, "alloc_mb_mgr");
  const auto release = find<void (*)(void*)>(library, "free_mb_mgr");
  const auto choose = find<void (*)(void*, int*)>(library, "init_mb_mgr_auto");
  if (allocate == nullptr || release == nullptr || choose == nullptr) return 0;
  void* const manager = allocate(0);
  if (manager == nullptr) return 0;
  int chosen = 0;
  choose(manager, &chosen);
  release(manager);
  return chosen;
}

const Backend* load(std::string& why) {
  // Never closed: its functions are used until the process ends.
  void* const library = dlopen("libIPSec_MB.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    why = "libIPSec_MB.so.1 is not installed (Debian: libipsec-mb1)";
    return nullptr;
  }
  const auto version = find<const char* (*)()>(library, "imb_get_version_str");
  // The names of its kinds of processors, best first, by what it has chosen.
  static constexpr const char* kAvx512[] = {"vaes_avx512", "avx512"};
  static constexpr const char* kAvx2[] = {"avx_gen4"};
  static constexpr const char* kAvx[] = {"avx_gen2"};
  static constexpr const char* kSse[] = {"sse"};
  std::span<const char* const> kinds;
  switch (architecture(library)) {
    case 5:
      kinds = gcmKernels().empty() || gcmKernels().front()->name != "vaes-avx512" ? std::span(kAvx512).subspan(1)
                                                                                  : std::span(kAvx512).first(1);
      break;
    case 4:
      kinds = kAvx2;
      break;
    case 3:
      kinds = kAvx;
      break;
    case 2:
      kinds = kSse;
      break;
    default:
      break;
  }
  for (const char* kind : kinds) {
    const Functions aes128 = functionsFor(library, "128", kind);
    const Functions aes256 = functionsFor(library, "256", kind);
    if (!aes128.complete() || !aes256.complete()) continue;
    std::string name = "ipsec-mb ";
    name += version == nullptr ? "?" : version();
    return new IpsecMb(name + " " + kind, aes128, aes256);
  }
  why = "libIPSec_MB.so.1 has no functions for this processor that hipd knows";
  return nullptr;
}

}  // namespace

const Backend* ipsecMbBackend(std::string& why) {
  static std::string reason;
  static const Backend* const backend = load(reason);
  why = reason;
  return backend;
}

#else

const Backend* ipsecMbBackend(std::string& why) {
  why = "libIPSec_MB is for x86-64 only";
  return nullptr;
}

#endif

}  // namespace hipd
