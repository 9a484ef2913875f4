#include "sa.h"

namespace hipd {
namespace {

/// SPIs 0 to 255 are reserved (RFC 4303 2.1).
constexpr std::uint32_t kFirstSpi = 256;
/// Far below the counter's end, so that adding to an exhausted counter never wraps it.
constexpr std::uint64_t kMostPackets = 1ULL << 62;

bool validSpis(const SaParameters& parameters) {
  if (parameters.spi < kFirstSpi) return false;
  if (parameters.lsiSpi == 0) return true;
  return parameters.lsiSpi >= kFirstSpi && parameters.lsiSpi != parameters.spi;
}

}  // namespace

std::unique_ptr<OutboundSa> OutboundSa::make(const SaParameters& parameters) {
  if (!validSpis(parameters)) return nullptr;
  auto keys = Keys::make(parameters.suite, Direction::Out, parameters.encryptionKey, parameters.integrityKey);
  if (keys == nullptr) return nullptr;
  std::unique_ptr<OutboundSa> sa(new OutboundSa());
  sa->spi_ = parameters.spi;
  sa->lsiSpi_ = parameters.lsiSpi;
  sa->shape_ = &suiteShape(parameters.suite);
  sa->keys_ = std::move(keys);
  sa->localHit_ = parameters.localHit;
  sa->peerHit_ = parameters.peerHit;
  const bool limited = parameters.softPackets != 0 && parameters.softPackets < kMostPackets / 2;
  sa->soft_ = limited ? parameters.softPackets : kMostPackets / 2;
  sa->hard_ = 2 * sa->soft_;
  return sa;
}

OutboundSa::~OutboundSa() {
  if (keys_ != nullptr) keys_->retire();
}

Verdict OutboundSa::reserve(std::uint32_t count, Run& run) {
  const std::uint64_t first = next_.fetch_add(count, std::memory_order_relaxed);
  const std::uint64_t last = first + count - 1;
  if (last > hard_) return Verdict::SaExhausted;
  run.first = first;
  run.softExpiry = first <= soft_ && soft_ <= last;
  return Verdict::Ok;
}

bool OutboundSa::follow(std::uint64_t given) {
  next_.store(given + kSequenceReserve + 1);
  return given < soft_ && soft_ <= given + kSequenceReserve;
}

std::unique_ptr<InboundSa> InboundSa::make(const SaParameters& parameters) {
  if (!validSpis(parameters)) return nullptr;
  auto keys = Keys::make(parameters.suite, Direction::In, parameters.encryptionKey, parameters.integrityKey);
  if (keys == nullptr) return nullptr;
  std::unique_ptr<InboundSa> sa(new InboundSa());
  sa->spi_ = parameters.spi;
  sa->lsiSpi_ = parameters.lsiSpi;
  sa->shape_ = &suiteShape(parameters.suite);
  sa->keys_ = std::move(keys);
  sa->localHit_ = parameters.localHit;
  sa->peerHit_ = parameters.peerHit;
  sa->inboundFamily_ = parameters.inboundFamily;
  return sa;
}

InboundSa::~InboundSa() {
  if (keys_ != nullptr) keys_->retire();
}

}  // namespace hipd
