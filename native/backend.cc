// Which back-end a machine gets: ours, a library's, or OpenSSL, which is always there and judges the others.
#include "backend.h"

#include <algorithm>
#include <string>

namespace hipd {
namespace {

/// Payload lengths of the self-test: around the kernels' chunks, blocks and words, and a full packet.
constexpr std::size_t kTestLengths[] = {0,   1,   4,   15,  16,  31,  32,   95,   96,
                                        223, 224, 240, 479, 480, 496, 1000, 1420, 2100};

/// Whether the back-end seals as OpenSSL does, opens that, and refuses what was changed. Keys and data need not be
/// random, only not uniform.
bool agrees(const Backend& backend, Suite suite, std::size_t keyLength) {
  std::vector<std::uint8_t> material(keyLength + 4);
  for (std::size_t i = 0; i < material.size(); i++) material[i] = static_cast<std::uint8_t>(i * 29 + 17);
  const auto outKeys = Keys::make(suite, Direction::Out, material, {});
  const auto inKeys = Keys::make(suite, Direction::In, material, {});
  if (outKeys == nullptr || inKeys == nullptr) return false;
  const auto wanted = opensslBackend().make(suite, Direction::Out, keyLength);
  const auto sealer = backend.make(suite, Direction::Out, keyLength);
  const auto opener = backend.make(suite, Direction::In, keyLength);
  if (wanted == nullptr || sealer == nullptr || opener == nullptr) return false;
  if (!wanted->key(*outKeys) || !sealer->key(*outKeys) || !opener->key(*inKeys)) return false;

  const std::size_t more = std::size_t{suiteShape(suite).ivLength} + suiteShape(suite).icvLength;
  for (const std::size_t length : kTestLengths) {
    std::vector<std::uint8_t> text(length + 1);
    for (std::size_t i = 0; i < length; i++) text[i] = static_cast<std::uint8_t>(i ^ (i >> 8) ^ length);
    const View plain[] = {View(text).first(length)};
    std::vector<std::uint8_t> theirs(length + more);
    std::vector<std::uint8_t> ours(length + more);
    const EspHeader header{0x01020304, 0x0102030405060708 + length};
    if (wanted->seal(header, plain, theirs) != Verdict::Ok) return false;
    if (sealer->seal(header, plain, ours) != Verdict::Ok || ours != theirs) return false;
    // Opened in place, as the data plane does it.
    std::uint8_t* const in = ours.data() + suiteShape(suite).ivLength;
    if (opener->open(header, ours, in) != Verdict::Ok || !std::equal(in, in + length, text.data())) return false;
    theirs[theirs.size() - 1 - length % more] ^= 1;
    if (opener->open(header, theirs, text.data()) != Verdict::EspAuth) return false;
  }
  return true;
}

bool selfTest(const Backend& backend) {
  for (const Suite suite : {Suite::AesGcm16, Suite::AesGcm8}) {
    for (const std::size_t keyLength : {std::size_t{16}, std::size_t{32}}) {
      if (!agrees(backend, suite, keyLength)) return false;
    }
  }
  return true;
}

/// The kernels of this processor, made once: whoever asks gets the same ones.
const std::vector<const Backend*>& builtins() {
  static const auto* const all = new std::vector<const Backend*>(builtinBackends());
  return *all;
}

struct Candidates {
  std::vector<const Backend*> usable;
  /// Why one is not among them.
  std::string notes;

  Candidates() {
    for (const Backend* backend : builtins()) consider(backend);
    std::string why;
    if (const Backend* backend = ipsecMbBackend(why); backend != nullptr) {
      consider(backend);
    } else {
      ipsecMb = why;
    }
    usable.push_back(&opensslBackend());
  }

  void consider(const Backend* backend) {
    if (selfTest(*backend)) {
      usable.push_back(backend);
    } else {
      notes += std::string(backend->name()) + " failed its self-test and is not used; ";
    }
  }

  std::string ipsecMb;
};

const Candidates& candidates() {
  static const Candidates* const all = new Candidates();
  return *all;
}

}  // namespace

std::span<const Backend* const> backends() {
  return candidates().usable;
}

const Backend& chooseBackend(std::string_view wanted, std::string& note) {
  const bool any = wanted.empty() || wanted == "auto";
  // Mostly the fastest kernel works: then no library is loaded and nothing else is tested. That would cost every start
  // some milliseconds and 4 MB.
  if (any && !builtins().empty() && selfTest(*builtins().front())) {
    note.clear();
    return *builtins().front();
  }
  const Candidates& all = candidates();
  note = all.notes;
  if (!note.empty()) note.resize(note.size() - 2);
  if (any) return *all.usable.front();
  for (const Backend* backend : all.usable) {
    if (backend->name().starts_with(wanted)) return *backend;
  }
  if (!note.empty()) note += "; ";
  note += "the AEAD back-end \"" + std::string(wanted) + "\" cannot be used here";
  if (wanted == "ipsec-mb" && !all.ipsecMb.empty()) note += ": " + all.ipsecMb;
  note += "; using " + std::string(all.usable.front()->name());
  return *all.usable.front();
}

}  // namespace hipd
