// What the packet tests share: hex, vector files, packet buffers, and slow checks of checksums.
#pragma once

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "../checksum.h"
#include "../types.h"
#include "../verdict.h"
#include "../view.h"
#include "check.h"

namespace hipd::test {

[[noreturn]] inline void fail(const char* file, int line, const char* what) {
  std::cerr << file << ":" << line << ": " << what << std::endl;
  std::exit(1);
}

/// Prints that a named group of checks passed.
inline void passed(std::string_view name) {
  std::cout << "  ok  " << name << "\n";
}

inline void checkVerdict(Verdict is, Verdict wanted, const char* file, int line, const char* what) {
  if (is == wanted) return;
  std::cerr << what << " is " << verdictName(is) << ", not " << verdictName(wanted) << "\n";
  fail(file, line, "wrong verdict");
}

using Octets = std::vector<std::uint8_t>;

inline std::string toHex(View bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

inline Octets fromHex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  Octets bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(digit(text[i]) * 16 + digit(text[i + 1])));
  }
  return bytes;
}

/// One block of `key: value` lines of a vector file; blocks are parted by empty lines, '#' begins a comment.
struct Vector {
  std::map<std::string, std::string> fields;
  int line = 0;

  bool has(const std::string& key) const { return fields.contains(key); }
  const std::string& text(const std::string& key) const {
    const auto found = fields.find(key);
    if (found == fields.end()) fail("vector", line, key.c_str());
    return found->second;
  }
  Octets hex(const std::string& key) const { return fromHex(text(key)); }
  std::uint64_t number(const std::string& key) const { return std::stoull(text(key), nullptr, 0); }
};

/// Reads a file of vectors.
inline std::vector<Vector> readVectorFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail(path.c_str(), 0, "cannot be read; run from the repository's root");
  std::vector<Vector> all;
  Vector block;
  std::string line;
  int number = 0;
  const auto finish = [&] {
    if (!block.fields.empty()) all.push_back(block);
    block = Vector{};
  };
  while (std::getline(file, line)) {
    number++;
    if (line.starts_with("#")) continue;
    if (line.empty()) {
      finish();
      continue;
    }
    const std::size_t colon = line.find(':');
    if (block.fields.empty()) block.line = number;
    block.fields[line.substr(0, colon)] = colon + 2 <= line.size() ? line.substr(colon + 2) : std::string();
  }
  finish();
  return all;
}

/// Reads test/vectors/<name>, found beside this file.
inline std::vector<Vector> readVectors(const std::string& name) {
  const std::string path = __FILE__;
  return readVectorFile(path.substr(0, path.rfind('/')) + "/vectors/" + name);
}

/// A packet in a heap buffer of exactly its size, headroom and tailroom, so that sanitizers see each step beyond them.
class PacketBuffer {
 public:
  explicit PacketBuffer(View packet, std::size_t headroom = kHeadroom, std::size_t tailroom = kTailroom)
      : memory_(headroom + packet.size() + tailroom, 0xaa) {
    if (!packet.empty()) std::memcpy(memory_.data() + headroom, packet.data(), packet.size());
    frame = {memory_.data(), memory_.size(), headroom, packet.size()};
  }
  Frame frame;

 private:
  Octets memory_;
};

/// A slow checksum: one byte at a time, nothing shared with checksum.cc.
inline std::uint32_t slowSum(View bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i++) {
    sum += i % 2 == 0 ? static_cast<std::uint32_t>(bytes[i]) << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

/// Whether all checksums of an unfragmented inner packet are right, computed from scratch.
inline bool checksumsRight(View packet) {
  InnerView view;
  if (parseInner(packet, view) != Verdict::Ok) return false;
  const bool v4 = view.family == InnerFamily::Lsi;
  if (v4 && slowSum(packet.first(view.baseLength)) != 0xffff) return false;
  if (view.fragment) return true;
  View upper = packet.subspan(view.upperOffset, view.upperLength());
  if (view.protocol == proto::kUdp) {
    // UDP says itself how long it is; bytes behind it are of nobody.
    if (upper.size() < 8 || load16(upper.data() + 4) < 8 || load16(upper.data() + 4) > upper.size()) return false;
    upper = upper.first(load16(upper.data() + 4));
  }
  Octets pseudo;
  const auto addresses = v4 ? packet.subspan(12, 8) : packet.subspan(8, 32);
  pseudo.assign(addresses.begin(), addresses.end());
  const auto length = static_cast<std::uint32_t>(upper.size());
  for (const unsigned shift : {24U, 16U, 8U, 0U}) pseudo.push_back(static_cast<std::uint8_t>(length >> shift));
  pseudo.insert(pseudo.end(), {0, 0, 0, view.protocol});
  std::size_t covered = upper.size();
  switch (view.protocol) {
    case proto::kIcmp:
      return slowSum(upper) == 0xffff;
    case proto::kUdpLite:
      if (upper.size() < 8) return false;
      covered = load16(upper.data() + 4);
      if (covered == 0) covered = upper.size();
      [[fallthrough]];
    case proto::kUdp:
      if (upper.size() < 8 || covered > upper.size()) return false;
      if (v4 && view.protocol == proto::kUdp && load16(upper.data() + 6) == 0) return true;
      [[fallthrough]];
    case proto::kTcp:
    case proto::kDccp:
    case proto::kIcmp6: {
      pseudo.insert(pseudo.end(), upper.begin(), upper.begin() + static_cast<std::ptrdiff_t>(covered));
      return slowSum(pseudo) == 0xffff;
    }
    default:
      return true;
  }
}

/// A small generator with a fixed seed: a failure repeats itself.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(next() % limit); }
  Octets bytes(std::size_t count) {
    Octets result(count);
    for (std::uint8_t& byte : result) byte = static_cast<std::uint8_t>(next());
    return result;
  }

 private:
  std::uint64_t state_;
};

inline void checkBytes(View is, View wanted, const char* file, int line, const char* what) {
  if (is.size() == wanted.size() && std::equal(is.begin(), is.end(), wanted.begin())) return;
  std::cerr << what << "\n  is     " << toHex(is) << "\n  wanted " << toHex(wanted) << "\n";
  fail(file, line, "wrong bytes");
}

/// Writes the header of an IPv6 packet with so many bytes behind it.
inline void putIpv6(std::uint8_t* at, const Hit& from, const Hit& to, std::uint8_t protocol, std::size_t payload,
                    std::uint8_t trafficClass = 0) {
  store32(at, 0x60000000U | std::uint32_t{trafficClass} << 20U);
  store16(at + 4, static_cast<std::uint32_t>(payload));
  at[6] = protocol;
  at[7] = 64;
  std::copy(from.bytes.begin(), from.bytes.end(), at + 8);
  std::copy(to.bytes.begin(), to.bytes.end(), at + 24);
}

/// Writes the ports, 2000 at the receiver, and the length of a UDP datagram; its checksum stays.
inline void putUdp(Bytes datagram, std::uint16_t from) {
  store16(datagram.data(), from);
  store16(datagram.data() + 2, 2000);
  store16(datagram.data() + 4, static_cast<std::uint32_t>(datagram.size()));
}

/// The same with the checksum (RFC 8200 8.1).
inline void putWholeUdp(Bytes datagram, std::uint16_t port, const Hit& from, const Hit& to) {
  putUdp(datagram, port);
  store16(datagram.data() + 6, 0);
  const std::uint16_t pseudo = foldSum(sumAddresses(from, to) + sumPseudo(proto::kUdp, datagram.size()));
  store16(datagram.data() + 6, checksumOf(sumBytes(datagram, pseudo)));
}

}  // namespace hipd::test

#define CHECK_VERDICT(actual, expected) \
  ::hipd::test::checkVerdict((actual), ::hipd::Verdict::expected, __FILE__, __LINE__, #actual)
#define CHECK_BYTES(actual, expected) ::hipd::test::checkBytes((actual), (expected), __FILE__, __LINE__, #actual)
