#include "takeover.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

#include "archive.h"
#include "tun.h"

namespace hipd {

namespace {

constexpr std::size_t kVersionAt = 20;
constexpr std::size_t kLengthAt = 24;
constexpr std::size_t kChecksumAt = 32;
constexpr std::size_t kChecksum = 32;
static_assert(kTakeoverMagic.size() < kVersionAt && kChecksumAt + kChecksum == kTakeoverHead);

constexpr std::size_t kMostName = 64;
constexpr std::size_t kMostCounters = 1024;

std::array<std::uint8_t, kChecksum> checksumOf(View body) {
  std::array<std::uint8_t, kChecksum> sum{};
  EVP_Digest(body.data(), body.size(), sum.data(), nullptr, EVP_sha256(), nullptr);
  return sum;
}

bool validFamily(std::uint8_t family) {
  return family == 0 || family == 4 || family == 6;
}

/// Where a packet can go.
bool usable(const Path& path) {
  const std::uint8_t remote = path.remote.address.family;
  return remote != 0 && (path.local.address.family == 0 || path.local.address.family == remote);
}

// One description for both directions: an Archive is a Writer or a Reader, and what it is shown is const for a Writer.

template <class Archive, class T>
void addressOf(Archive& archive, T& address) {
  archive.number(address.family);
  archive.check(validFamily(address.family), "an address");
  archive.bytes(address.bytes);
}

template <class Archive, class T>
void endpointOf(Archive& archive, T& endpoint) {
  addressOf(archive, endpoint.address);
  archive.number(endpoint.port);
}

template <class Archive, class T>
void pathOf(Archive& archive, T& path) {
  archive.choice(path.carrier, Carrier::None);
  endpointOf(archive, path.local);
  endpointOf(archive, path.remote);
}

template <class Archive, class T>
void offloadsOf(Archive& archive, T& offloads) {
  archive.flag(offloads.tso);
  archive.flag(offloads.uso);
  archive.flag(offloads.gso);
  archive.flag(offloads.gro);
}

template <class Archive, class T>
void optionsOf(Archive& archive, T& options) {
  archive.text(options.interface, 15);
  archive.number(options.mtu);
  archive.number(options.port);
  archive.flag(options.raw);
  archive.number(options.workers);
  archive.check(options.workers >= 1 && options.workers <= kMaxQueues, "the number of workers");
  archive.bytes(options.ownLsi.bytes);
  addressOf(archive, options.lsiPrefix.network);
  archive.number(options.lsiPrefix.length);
  archive.check(options.lsiPrefix.network.family == 4 && options.lsiPrefix.length <= 32, "the LSI prefix");
  offloadsOf(archive, options.offloads);
  archive.number(options.busyPoll);
  archive.number(options.silentAfter);
  archive.text(options.aead, 31);
}

template <class Archive, class T>
void saOf(Archive& archive, T& sa) {
  archive.number(sa.spi);
  archive.number(sa.lsiSpi);
  archive.choice(sa.suite, Suite::AesGcm16);
  archive.check(suiteShape(static_cast<unsigned>(sa.suite)) != nullptr, "a suite");
  archive.secret(sa.encryptionKey);
  archive.secret(sa.integrityKey);
  archive.bytes(sa.localHit.bytes);
  archive.number(sa.packets);
  archive.number(sa.bytes);
}

/// The words of a ring are mostly full: only the others are written.
template <class Archive, class T>
void windowOf(Archive& archive, T& window) {
  archive.number(window.top);
  archive.flag(window.wide);
  if constexpr (Archive::kReads) {
    window.words.assign(window.wide ? ReplayWindow::kWords : ReplayWindow::kNear, ~0ULL);
  }
  for (std::size_t first = 0; first < window.words.size(); first += 64) {
    const std::size_t count = std::min<std::size_t>(window.words.size() - first, 64);
    std::uint64_t partial = 0;
    if constexpr (!Archive::kReads) {
      for (std::size_t i = 0; i < count; i++) partial |= std::uint64_t{window.words[first + i] != ~0ULL} << i;
    }
    archive.number(partial);
    archive.check(count == 64 || partial >> count == 0, "a replay window");
    for (std::size_t i = 0; i < count; i++) {
      if ((partial >> i & 1) != 0) archive.number(window.words[first + i]);
    }
  }
}

template <class Archive, class T>
void outboundOf(Archive& archive, T& one, std::uint64_t now) {
  saOf(archive, one.sa);
  archive.number(one.softPackets);
  archive.number(one.sealed);
  archive.check(one.sealed < 1ULL << 63, "a sequence number");
  archive.number(one.pathMtu);
  archive.check(one.pathMtu <= kMaxDatagram, "a path MTU");
  archive.number(one.mtuAsked);
  archive.check(one.mtuAsked <= now, "a moment");
  archive.flag(one.softPending);
  pathOf(archive, one.path);
  archive.check(usable(one.path), "a path");
  archive.flag(one.verified);
  archive.number(one.interface);
}

template <class Archive, class T>
void inboundOf(Archive& archive, T& one, std::uint64_t now) {
  const std::uint64_t nowMs = now / 1'000'000;
  saOf(archive, one.sa);
  std::uint8_t family = static_cast<std::uint8_t>(one.family);
  archive.number(family);
  archive.check(family == 4 || family == 6, "a family");
  if constexpr (Archive::kReads) one.family = family == 4 ? InnerFamily::Lsi : InnerFamily::Hit;
  archive.number(one.idleAfter);
  archive.number(one.idleRaised);
  archive.number(one.added);
  archive.check(one.idleAfter <= UINT32_MAX && one.idleRaised <= nowMs && one.added <= nowMs, "a moment");
  archive.flag(one.untouched);
  archive.number(one.failures);
  pathOf(archive, one.expected);
  archive.check(usable(one.expected), "a path");
  windowOf(archive, one.window);
}

template <class Archive, class T>
void peerOf(Archive& archive, T& peer, std::uint64_t now) {
  const std::uint64_t nowMs = now / 1'000'000;
  archive.bytes(peer.hit.bytes);
  archive.choice(peer.mode, Mode::Send);
  archive.flag(peer.hasLsi);
  archive.bytes(peer.lsi.bytes);
  archive.number(peer.lastUsed);
  archive.check(peer.lastUsed <= nowMs, "a moment");
  archive.number(peer.probedMtu);
  archive.number(peer.credit);
  archive.check(peer.credit <= kMostCredit && peer.credit >= -kMostCredit, "a credit");
  archive.number(peer.txPackets);
  archive.number(peer.txBytes);
  archive.number(peer.rxPackets);
  archive.number(peer.rxBytes);
  archive.list(peer.outbound, 2 * kMaxSasOfPeer, [&](auto& one) { outboundOf(archive, one, now); });
  archive.number(peer.via);
  archive.check((peer.mode == Mode::Send) == (peer.via != SavedPeer::kNone), "a route");
  archive.check(peer.via == SavedPeer::kNone || peer.via < peer.outbound.size(), "a route");
  archive.list(peer.inbound, kMaxSasOfPeer, [&](auto& one) { inboundOf(archive, one, now); });
  archive.number(peer.newest);
  archive.check(peer.inbound.empty() ? peer.newest == SavedPeer::kNone : peer.newest < peer.inbound.size(), "an SA");
  archive.list(peer.former, kMaxFormerPaths, [&](auto& one) {
    archive.choice(one.carrier, Carrier::None);
    endpointOf(archive, one.remote);
    archive.number(one.until);
    archive.check(one.until <= nowMs + kFormerPathMs, "a moment");
  });
}

template <class Archive, class T>
void eventOf(Archive& archive, T& event) {
  archive.choice(event.type, EventType::ProbeReply);
  archive.check(event.type >= EventType::Control && event.type != EventType::Addresses, "an event");
  archive.number(event.spi);
  archive.number(event.sequence);
  archive.number(event.rttMicros);
  archive.bytes(event.peer.bytes);
  pathOf(archive, event.path);
  archive.blob(event.bytes, kMaxControl);
}

template <class Archive, class T>
void planeOf(Archive& archive, T& plane) {
  optionsOf(archive, plane.options);
  offloadsOf(archive, plane.granted);
  archive.flag(plane.headers);
  archive.number(plane.suspendedAt);
  archive.list(plane.workers, kMaxQueues, [&](auto& one) { archive.number(one.fragmentId); });
  archive.check(plane.workers.size() == plane.options.workers, "the number of workers");
  archive.list(plane.sockets, 8 * kMaxQueues, [&](auto& one) {
    archive.choice(one.use, SocketUse::Near6);
    archive.number(one.worker);
    archive.check(one.worker < plane.options.workers, "a socket");
  });
  archive.list(plane.counters, kMostCounters, [&](auto& one) {
    archive.text(one.first, kMostName);
    archive.number(one.second);
  });
  archive.number(plane.flows.size);
  for (auto& half : plane.flows.secret) archive.number(half);
  archive.list(plane.flows.entries, FlowTable::kDefaultEntries, [&](auto& one) {
    archive.number(one.first);
    archive.number(one.second);
    archive.check(one.first < plane.flows.size, "a flow");
  });
  archive.list(plane.events, kEventQueue, [&](auto& one) { eventOf(archive, one); });
  archive.list(plane.peers, kMaxPeers, [&](auto& one) { peerOf(archive, one, plane.suspendedAt); });
}

}  // namespace

Secret::Secret(View first, View second) {
  if (!first.empty()) std::memcpy(bytes_.data(), first.data(), first.size());
  if (!second.empty()) std::memcpy(bytes_.data() + first.size(), second.data(), second.size());
  length_ = static_cast<std::uint8_t>(first.size() + second.size());
}

Secret::~Secret() {
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

void wipe(Bytes bytes) {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

void sealTakeover(Bytes bytes, std::uint32_t version) {
  const View body = bytes.subspan(kTakeoverHead);
  const std::uint64_t length = body.size();
  std::memset(bytes.data(), 0, kTakeoverHead);
  std::memcpy(bytes.data(), kTakeoverMagic.data(), kTakeoverMagic.size());
  std::memcpy(bytes.data() + kVersionAt, &version, sizeof version);
  std::memcpy(bytes.data() + kLengthAt, &length, sizeof length);
  const auto sum = checksumOf(body);
  std::memcpy(bytes.data() + kChecksumAt, sum.data(), sum.size());
}

std::vector<std::uint8_t> encode(const SavedPlane& plane) {
  // Twice, so that no copy of a key stays behind where a buffer has grown.
  Writer counter(nullptr);
  planeOf(counter, plane);
  std::vector<std::uint8_t> bytes(kTakeoverHead + counter.size());
  Writer writer(bytes.data() + kTakeoverHead);
  planeOf(writer, plane);
  sealTakeover(bytes);
  return bytes;
}

std::string decode(View bytes, SavedPlane& plane, std::uint64_t now) {
  if (bytes.size() < kTakeoverHead || std::memcmp(bytes.data(), kTakeoverMagic.data(), kTakeoverMagic.size()) != 0 ||
      bytes[kTakeoverMagic.size()] != 0) {
    return "what was handed over is not a data plane";
  }
  std::uint32_t version = 0;
  std::uint64_t length = 0;
  std::memcpy(&version, bytes.data() + kVersionAt, sizeof version);
  std::memcpy(&length, bytes.data() + kLengthAt, sizeof length);
  if (version != kTakeoverVersion) {
    return "the data plane was handed over in format " + std::to_string(version) + ", and this hipd reads format " +
           std::to_string(kTakeoverVersion);
  }
  const std::string damaged = "the data plane that was handed over is damaged: ";
  const View body = bytes.subspan(kTakeoverHead);
  if (length != body.size() || body.size() > kMostTakeover) return damaged + "its length";
  const auto sum = checksumOf(body);
  if (std::memcmp(bytes.data() + kChecksumAt, sum.data(), sum.size()) != 0) return damaged + "its checksum";
  Reader reader(body);
  planeOf(reader, plane);
  reader.check(reader.left() == 0, "its end");
  reader.check(plane.suspendedAt <= now, "it is of another boot");
  return reader.fault() == nullptr ? "" : damaged + reader.fault();
}

}  // namespace hipd
