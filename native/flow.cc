#include "flow.h"

#include <bit>

namespace hipd {
namespace {

constexpr std::size_t kWays = 4;
constexpr std::uint64_t kTagMask = ~0x1ffffULL;  // 47 bits of the hash, one of the family, 16 of the time
/// The table's clock ticks every four seconds, so that 16 bits last for three days.
constexpr unsigned kTickShift = 2;

std::uint16_t tickOf(std::uint32_t now) {
  return static_cast<std::uint16_t>(now >> kTickShift);
}

/// Both families' ICMP is one protocol here: on the wire there is only ICMPv6.
std::uint8_t wireProtocol(std::uint8_t protocol) {
  return protocol == proto::kIcmp ? proto::kIcmp6 : protocol;
}

FlowKey fragmentKey(const Hit& peer, std::uint32_t id) {
  return {peer, proto::kFragment, static_cast<std::uint16_t>(id >> 16), static_cast<std::uint16_t>(id)};
}

void mix(std::uint64_t& a, std::uint64_t& b, std::uint64_t& c, std::uint64_t& d) {
  a += b;
  c += d;
  b = std::rotl(b, 13) ^ a;
  d = std::rotl(d, 16) ^ c;
  a = std::rotl(a, 32);
  c += b;
  a += d;
  b = std::rotl(b, 17) ^ c;
  d = std::rotl(d, 21) ^ a;
  c = std::rotl(c, 32);
}

}  // namespace

FlowKey outboundFlow(const Hit& peer, const InnerView& view) {
  if (!view.first || view.icmpError) return {peer, proto::kNone, 0, 0};
  return {peer, wireProtocol(view.protocol), view.sourcePort, view.destinationPort};
}

FlowKey inboundFlow(const Hit& peer, const InnerView& view, View payload) {
  if (!view.first) return fragmentKey(peer, view.fragmentId);
  if (!view.icmpError) return {peer, wireProtocol(view.protocol), view.destinationPort, view.sourcePort};
  InnerView embedded;
  const std::size_t at = std::size_t{view.upperOffset} + 8;
  if (at >= payload.size() || parseEmbedded(payload.subspan(at), embedded) != Verdict::Ok) {
    return {peer, proto::kNone, 0, 0};
  }
  return {peer, wireProtocol(embedded.protocol), embedded.sourcePort, embedded.destinationPort};
}

FlowTable::FlowTable(std::size_t entries, const std::array<std::uint64_t, 2>& secret) : secret_(secret) {
  std::size_t count = kWays;
  while (count < entries) count *= 2;
  mask_ = count - kWays;
  entries_.reset(new std::atomic<std::uint64_t>[count]());
}

/// SipHash-1-3 of the key's three words.
std::uint64_t FlowTable::hash(const FlowKey& key) const {
  const std::uint64_t words[3] = {load64(key.peer.bytes.data()), load64(key.peer.bytes.data() + 8),
                                  (static_cast<std::uint64_t>(key.protocol) << 32) |
                                      (static_cast<std::uint64_t>(key.localPort) << 16) | key.peerPort};
  std::uint64_t a = secret_[0] ^ 0x736f6d6570736575ULL;
  std::uint64_t b = secret_[1] ^ 0x646f72616e646f6dULL;
  std::uint64_t c = secret_[0] ^ 0x6c7967656e657261ULL;
  std::uint64_t d = secret_[1] ^ 0x7465646279746573ULL;
  for (const std::uint64_t word : words) {
    d ^= word;
    mix(a, b, c, d);
    a ^= word;
  }
  c ^= 0xff;
  for (int i = 0; i < 3; i++) mix(a, b, c, d);
  return a ^ b ^ c ^ d;
}

void FlowTable::remember(const FlowKey& key, InnerFamily family, std::uint32_t now) {
  if (key.protocol == proto::kNone) return;
  const std::uint64_t h = hash(key);
  const std::uint64_t tag = (h & kTagMask) == 0 ? kTagMask : h & kTagMask;
  const std::uint16_t tick = tickOf(now);
  const std::uint64_t entry = tag | (family == InnerFamily::Lsi ? 0x10000ULL : 0) | tick;
  std::atomic<std::uint64_t>* const set = &entries_[(h * kWays) & mask_];
  std::atomic<std::uint64_t>* victim = set;
  unsigned oldest = 0;
  for (std::size_t i = 0; i < kWays; i++) {
    const std::uint64_t old = set[i].load(std::memory_order_relaxed);
    if (old == entry) return;
    if ((old & kTagMask) == tag) {
      victim = &set[i];
      break;
    }
    // An empty place is older than anything.
    const unsigned age = old == 0 ? 0x10000U : static_cast<std::uint16_t>(tick - static_cast<std::uint16_t>(old));
    if (age >= oldest) {
      oldest = age;
      victim = &set[i];
    }
  }
  victim->store(entry, std::memory_order_relaxed);
}

std::optional<InnerFamily> FlowTable::find(const FlowKey& key, std::uint32_t now) {
  if (key.protocol == proto::kNone) return std::nullopt;
  const std::uint64_t h = hash(key);
  const std::uint64_t tag = (h & kTagMask) == 0 ? kTagMask : h & kTagMask;
  std::atomic<std::uint64_t>* const set = &entries_[(h * kWays) & mask_];
  for (std::size_t i = 0; i < kWays; i++) {
    std::uint64_t old = set[i].load(std::memory_order_relaxed);
    if ((old & kTagMask) != tag) continue;
    const std::uint64_t fresh = (old & ~0xffffULL) | tickOf(now);
    // Someone else's newer entry must not be undone.
    if (old != fresh) set[i].compare_exchange_strong(old, fresh, std::memory_order_relaxed);
    return (fresh & 0x10000ULL) != 0 ? InnerFamily::Lsi : InnerFamily::Hit;
  }
  return std::nullopt;
}

FlowTable::Memory FlowTable::save() const {
  Memory memory{static_cast<std::uint32_t>(mask_ + kWays), secret_, {}};
  for (std::uint32_t i = 0; i < memory.size; i++) {
    const std::uint64_t entry = entries_[i].load(std::memory_order_relaxed);
    if (entry != 0) memory.entries.emplace_back(i, entry);
  }
  return memory;
}

bool FlowTable::restore(const Memory& memory) {
  if (memory.size != mask_ + kWays) return false;
  secret_ = memory.secret;
  for (const auto& [at, entry] : memory.entries) {
    if (at >= memory.size) return false;
    entries_[at].store(entry, std::memory_order_relaxed);
  }
  return true;
}

InnerFamily FlowTable::decide(const Hit& peer, const InnerView& view, View payload, InnerFamily otherwise,
                              std::uint32_t now) {
  const InnerFamily family = find(inboundFlow(peer, view, payload), now).value_or(otherwise);
  if (view.fragment && view.first) remember(fragmentKey(peer, view.fragmentId), family, now);
  return family;
}

}  // namespace hipd
