// The back-ends of the AEAD: each against published answers and against OpenSSL, at every length and offset, and what
// they leave behind.
#include "../backend.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "../esp.h"
#include "../gcm.h"
#include "packets.h"

using namespace hipd;
using namespace hipd::test;

namespace {

/// While not null: sixteen bytes that no freed memory may hold.
const std::uint8_t* forbidden = nullptr;
std::size_t leaks = 0;

void inspect(void* memory) {
  if (forbidden == nullptr || memory == nullptr) return;
  const View bytes(static_cast<const std::uint8_t*>(memory), malloc_usable_size(memory));
  for (std::size_t i = 0; i + 16 <= bytes.size(); i++) {
    if (std::memcmp(bytes.data() + i, forbidden, 16) == 0) leaks++;
  }
}

void release(void* memory) {
  inspect(memory);
  std::free(memory);
}

}  // namespace

// The program's own, to look at what is freed.
void* operator new(std::size_t size) {
  return std::malloc(size);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
}
void operator delete(void* memory) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  release(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  release(memory);
}

namespace {

/// Memory between two pages that nobody may touch: also what sanitizers do not see is caught. `place` puts bytes at its
/// very end or at its very beginning.
class Fenced {
 public:
  explicit Fenced(std::size_t size) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    size_ = (size + page - 1) / page * page;
    whole_ = size_ + 2 * page;
    void* const memory = mmap(nullptr, whole_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    first_ = static_cast<std::uint8_t*>(memory);
    begin_ = first_ + page;
    CHECK(mprotect(begin_, size_, PROT_READ | PROT_WRITE) == 0);
  }
  ~Fenced() { munmap(first_, whole_); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;

  Bytes atEnd(std::size_t length) const { return {begin_ + size_ - length, length}; }
  Bytes atBegin(std::size_t length) const { return {begin_, length}; }
  Bytes at(std::size_t offset, std::size_t length) const { return {begin_ + offset, length}; }

 private:
  std::uint8_t* first_ = nullptr;
  std::uint8_t* begin_ = nullptr;
  std::size_t size_ = 0;
  std::size_t whole_ = 0;
};

constexpr std::size_t kLongest = 9000;
constexpr Suite kGcmSuites[] = {Suite::AesGcm16, Suite::AesGcm8};

std::unique_ptr<Cipher> cipherOf(const Backend& backend, Suite suite, Direction direction, View material) {
  auto cipher = backend.make(suite, direction, material.size() - 4);
  CHECK(cipher != nullptr);
  const auto keys = Keys::make(suite, direction, material, {});
  CHECK(keys != nullptr);
  CHECK(cipher->key(*keys));
  return cipher;
}

std::size_t moreOf(Suite suite) {
  return std::size_t{suiteShape(suite).ivLength} + suiteShape(suite).icvLength;
}

void testChoice() {
  CHECK(!backends().empty());
  CHECK(backends().back() == &opensslBackend());
  for (const Backend* backend : backends()) std::cout << "      " << backend->name() << "\n";
  CHECK_EQ(backends().size() >= 1 + gcmKernels().size(), true);
  std::string note;
  CHECK(&chooseBackend("", note) == backends().front());
  CHECK(note.empty());
  CHECK(&chooseBackend("auto", note) == backends().front());
  CHECK(note.empty());
  CHECK(&chooseBackend("openssl", note) == &opensslBackend());
  CHECK(note.empty());
  CHECK(&chooseBackend("no such thing", note) == backends().front());
  CHECK(note.find("no such thing") != std::string::npos);
  const Backend& library = chooseBackend("ipsec-mb", note);
  CHECK(note.empty() == library.name().starts_with("ipsec-mb"));
  if (!gcmKernels().empty()) CHECK(chooseBackend("builtin", note).name().starts_with("builtin"));
  passed("a back-end is chosen, and a wish that cannot be fulfilled is told");
}

void testPublished() {
  for (const Backend* backend : backends()) {
    int count = 0;
    for (const Vector& vector : readVectors("gcm-esp.txt")) {
      Octets material = vector.hex("key");
      const Octets salt = vector.hex("salt");
      material.insert(material.end(), salt.begin(), salt.end());
      const Octets aad = vector.hex("aad");
      const EspHeader header{load32(aad.data()), load64(aad.data() + 4)};
      const Octets text = vector.hex("text");
      const Octets icv = vector.hex("icv");
      for (const Suite suite : kGcmSuites) {
        Octets sealed = vector.hex("iv");
        const Octets body = vector.hex("sealed");
        sealed.insert(sealed.end(), body.begin(), body.end());
        sealed.insert(sealed.end(), icv.begin(), icv.begin() + suiteShape(suite).icvLength);
        Octets out(text.size());
        CHECK_VERDICT(cipherOf(*backend, suite, Direction::In, material)->open(header, sealed, out.data()), Ok);
        CHECK_BYTES(out, text);
        count++;
      }
    }
    CHECK(count >= 16);
    // ESP packets of a slow reference that shares nothing with us.
    CipherCache cache(*backend, 4);
    count = 0;
    for (const Vector& vector : readVectors("esp.txt")) {
      const SuiteShape* const shape = suiteShape(static_cast<unsigned>(vector.number("suite")));
      CHECK(shape != nullptr);
      if (vector.has("foreign")) continue;
      const Octets payload = vector.hex("payload");
      const auto keys = Keys::make(shape->suite, Direction::Out, vector.hex("encryption"), vector.hex("integrity"));
      const View pieces[] = {payload};
      Octets packet(esp::sealedLength(*shape, payload.size()));
      std::size_t written = 0;
      const EspHeader header{static_cast<std::uint32_t>(vector.number("spi")), vector.number("sequence")};
      CHECK_VERDICT(esp::sealWith(*cache.find(keys), *shape, header,
                                  static_cast<std::uint8_t>(vector.number("next-header")), pieces, packet, written),
                    Ok);
      CHECK_BYTES(packet, vector.hex("packet"));
      count++;
    }
    CHECK(count > 60);
  }
  passed("published answers and the reference's packets, with each back-end");
}

/// Seals and opens one text as OpenSSL does: apart, in place and in pieces, at this offset and against the fences.
struct Rig {
  Fenced in{kLongest + 4096};
  Fenced out{kLongest + 4096};
  Dice dice{11};

  void check(const Backend& backend, Suite suite, Cipher& oracle, Cipher& sealer, Cipher& opener, std::size_t length,
             std::size_t offset) {
    const Octets text = dice.bytes(length);
    const EspHeader header{static_cast<std::uint32_t>(dice.next()), dice.next()};
    const View whole[] = {text};
    Octets wanted(length + moreOf(suite));
    CHECK_VERDICT(oracle.seal(header, whole, wanted), Ok);
    const std::string what = std::string(backend.name()) + " length " + std::to_string(length);

    const Bytes places[][2] = {
        {in.atEnd(length), out.atEnd(wanted.size())},
        {in.atBegin(length), out.atBegin(wanted.size())},
        {in.at(offset, length), out.at(63 - offset, wanted.size())},
    };
    for (const auto& [source, target] : places) {
      if (length != 0) std::memcpy(source.data(), text.data(), length);
      const View one[] = {source};
      CHECK_VERDICT(sealer.seal(header, one, target), Ok);
      checkBytes(target, wanted, __FILE__, __LINE__, what.c_str());
      std::fill(source.begin(), source.end(), std::uint8_t{0xaa});
      CHECK_VERDICT(opener.open(header, target, source.data()), Ok);
      checkBytes(source, text, __FILE__, __LINE__, what.c_str());
      // In place, and from pieces.
      const std::size_t iv = suiteShape(suite).ivLength;
      CHECK_VERDICT(opener.open(header, target, target.data() + iv), Ok);
      checkBytes(target.subspan(iv, length), text, __FILE__, __LINE__, what.c_str());
      const View placed[] = {target.subspan(iv, length)};
      CHECK_VERDICT(sealer.seal(header, placed, target), Ok);
      checkBytes(target, wanted, __FILE__, __LINE__, what.c_str());
      const View parts[] = {source.first(length / 3), source.subspan(length / 3)};
      CHECK_VERDICT(sealer.seal(header, parts, target), Ok);
      checkBytes(target, wanted, __FILE__, __LINE__, what.c_str());
    }
    // One flipped bit anywhere, header included.
    Octets forged = wanted;
    const std::size_t bit = dice.below(forged.size() * 8);
    forged[bit / 8] = static_cast<std::uint8_t>(forged[bit / 8] ^ (1U << (bit % 8)));
    const Bytes spoilt = in.at(offset, length);
    CHECK_VERDICT(opener.open(header, forged, spoilt.data()), EspAuth);
    CHECK_VERDICT(opener.open({header.spi, header.sequence ^ (1ULL << dice.below(64))}, wanted, spoilt.data()),
                  EspAuth);
    CHECK_VERDICT(opener.open({header.spi ^ (1U << dice.below(32)), header.sequence}, wanted, spoilt.data()), EspAuth);
  }
};

void testAgreement() {
  Rig rig;
  for (const Backend* backend : backends()) {
    for (const Suite suite : kGcmSuites) {
      for (const std::size_t keyLength : {std::size_t{16}, std::size_t{32}}) {
        const Octets material = Dice(keyLength).bytes(keyLength + 4);
        const auto oracle = cipherOf(opensslBackend(), suite, Direction::Out, material);
        const auto sealer = cipherOf(*backend, suite, Direction::Out, material);
        const auto opener = cipherOf(*backend, suite, Direction::In, material);
        const bool main = suite == Suite::AesGcm16 && keyLength == 16;
        for (std::size_t length = 0; length <= kLongest; length += main || length < 1100 ? 1 : 97) {
          rig.check(*backend, suite, *oracle, *sealer, *opener, length, length % 64);
        }
        // Every offset of source and target against each other's alignment.
        for (std::size_t offset = 0; offset < 64; offset++) {
          for (const std::size_t length : {std::size_t{68}, std::size_t{733}}) {
            rig.check(*backend, suite, *oracle, *sealer, *opener, length, offset);
          }
        }
      }
    }
  }
  passed("all agree with OpenSSL at every length and offset, and touch nothing else");
}

/// A context is keyed again and again: nothing of the old key may stay in use.
void testRekeying() {
  for (const Backend* backend : backends()) {
    const auto cipher = backend->make(Suite::AesGcm16, Direction::Out, 16);
    for (std::uint64_t i = 0; i < 20; i++) {
      const Octets material = Dice(i).bytes(20);
      const auto keys = Keys::make(Suite::AesGcm16, Direction::Out, material, {});
      CHECK(cipher->key(*keys));
      const Octets text = Dice(i + 100).bytes(100 + i);
      const View pieces[] = {text};
      Octets ours(text.size() + 24);
      Octets theirs(ours.size());
      CHECK_VERDICT(cipher->seal({9, i + 1}, pieces, ours), Ok);
      CHECK_VERDICT(
          cipherOf(opensslBackend(), Suite::AesGcm16, Direction::Out, material)->seal({9, i + 1}, pieces, theirs), Ok);
      CHECK_BYTES(ours, theirs);
    }
  }
  passed("a cipher takes new keys");
}

void testWiping() {
  for (const Backend* backend : backends()) {
    for (const std::size_t keyLength : {std::size_t{16}, std::size_t{32}}) {
      const Octets material = Dice(5).bytes(keyLength + 4);
      auto keys = Keys::make(Suite::AesGcm16, Direction::Out, material, {});
      auto cipher = backend->make(Suite::AesGcm16, Direction::Out, keyLength);
      CHECK(cipher->key(*keys));
      const Octets text(200, 1);
      const View pieces[] = {text};
      Octets out(224);
      CHECK_VERDICT(cipher->seal({1, 1}, pieces, out), Ok);
      forbidden = material.data();
      cipher.reset();
      keys.reset();
      forbidden = nullptr;
      CHECK_EQ(leaks, 0U);
    }
  }
  if (!gcmKernels().empty()) {
    alignas(GcmKey) std::array<std::uint8_t, sizeof(GcmKey)> memory;
    auto* const key = new (memory.data()) GcmKey();
    key->expand(Octets(32, 7));
    CHECK(std::any_of(memory.begin(), memory.end(), [](std::uint8_t byte) { return byte != 0; }));
    key->~GcmKey();
    CHECK(std::all_of(memory.begin(), memory.end(), [](std::uint8_t byte) { return byte == 0; }));
  }
  passed("freed memory holds no keys");
}

}  // namespace

int main() {
  testChoice();
  testPublished();
  testAgreement();
  testRekeying();
  testWiping();
  return 0;
}
