// ESP security associations (RFC 7402 3.3): what the packet path needs of them. Where packets go belongs to the plane.
#pragma once

#include <atomic>
#include <memory>

#include "aead.h"
#include "pool.h"
#include "replay.h"
#include "types.h"
#include "verdict.h"

namespace hipd {

/// Sequence numbers that a successor in another process leaves out, so that whatever its predecessor may have sealed is
/// never sealed again.
inline constexpr std::uint64_t kSequenceReserve = 1024;
static_assert(kSequenceReserve < ReplayWindow::kWindow);

/// What the control plane says about one direction of an SA. The views need to live only during the call.
struct SaParameters {
  std::uint32_t spi = 0;
  /// A second SPI of the same SA (same key, counter and window): inner packets are IPv4 between LSIs. 0: none.
  std::uint32_t lsiSpi = 0;
  Suite suite = Suite::AesGcm16;
  /// AES key; suites 12 and 13: followed by 4 bytes of salt; suite 7: empty.
  View encryptionKey;
  /// HMAC-SHA-256 key; empty for suites 12 and 13.
  View integrityKey;
  Hit localHit;
  Hit peerHit;
  /// Outbound: packets after which the SA asks for new keys, once. It never seals more than twice that. 0: 2^62.
  std::uint64_t softPackets = 0;
  /// Inbound without lsiSpi: what a packet becomes when no flow decides.
  InnerFamily inboundFamily = InnerFamily::Hit;
};

/// Sums of one SA. Monotonic; bytes are inner bytes as ESP carries them (payload without padding).
struct SaCounters {
  std::atomic<std::uint64_t> packets{0};
  std::atomic<std::uint64_t> bytes{0};

  void add(std::uint64_t morePackets, std::uint64_t moreBytes) {
    packets.fetch_add(morePackets, std::memory_order_relaxed);
    bytes.fetch_add(moreBytes, std::memory_order_relaxed);
  }
  /// The last packet was none of an application's.
  void forget(std::uint64_t itsBytes) {
    packets.fetch_sub(1, std::memory_order_relaxed);
    bytes.fetch_sub(itsBytes, std::memory_order_relaxed);
  }
};

/// What we seal with. Shared by all workers; everything that changes is atomic.
class OutboundSa {
 public:
  /// @return nullptr when the keys do not fit the suite or the SPI is reserved (0 to 255, RFC 4303 2.1).
  static std::unique_ptr<OutboundSa> make(const SaParameters& parameters);
  ~OutboundSa();
  OutboundSa(const OutboundSa&) = delete;
  OutboundSa& operator=(const OutboundSa&) = delete;

  static void* operator new(std::size_t) { return Pooled<OutboundSa>::take(); }
  static void operator delete(void* place) { Pooled<OutboundSa>::give(place); }

  /// A run of sequence numbers that nobody else gets.
  struct Run {
    std::uint64_t first = 0;
    /// True for exactly one run: the SA has reached softPackets.
    bool softExpiry = false;
  };
  /// Takes `count` (at least 1) consecutive sequence numbers. Both SPIs draw from the same counter, so a nonce
  /// cannot repeat. @return Ok, or SaExhausted when the run would pass the hard limit; then none is ever given again.
  Verdict reserve(std::uint32_t count, Run& run);

  std::uint32_t spi() const { return spi_; }
  std::uint32_t lsiSpi() const { return lsiSpi_; }
  /// The SPI for a packet of this family at the sender: the second SPI for IPv4 when the peer offered one.
  std::uint32_t spiFor(InnerFamily family) const { return family == InnerFamily::Lsi && lsiSpi_ != 0 ? lsiSpi_ : spi_; }
  const SuiteShape& shape() const { return *shape_; }
  const std::shared_ptr<Keys>& keys() const { return keys_; }
  const Hit& localHit() const { return localHit_; }
  const Hit& peerHit() const { return peerHit_; }
  /// Sequence numbers given so far.
  std::uint64_t sealed() const { return next_.load(std::memory_order_relaxed) - 1; }
  std::uint64_t softPackets() const { return soft_; }
  /// Goes on behind a predecessor that had given `given` numbers. Before the first `reserve`. @return whether
  /// softPackets is among the numbers that are left out.
  bool follow(std::uint64_t given);

  SaCounters counters;
  /// Largest outer packet that the path carries.
  std::atomic<std::uint32_t> pathMtu{1500};
  /// Coarse milliseconds of the last packet; the plane's clock.
  std::atomic<std::uint64_t> lastUsed{0};

 private:
  OutboundSa() = default;
  std::uint32_t spi_ = 0;
  std::uint32_t lsiSpi_ = 0;
  const SuiteShape* shape_ = nullptr;
  std::shared_ptr<Keys> keys_;
  Hit localHit_;
  Hit peerHit_;
  std::uint64_t soft_ = 0;
  std::uint64_t hard_ = 0;
  std::atomic<std::uint64_t> next_{1};
};

/// What we open with. Shared by all workers.
class InboundSa {
 public:
  /// @return as OutboundSa::make.
  static std::unique_ptr<InboundSa> make(const SaParameters& parameters);
  ~InboundSa();
  InboundSa(const InboundSa&) = delete;
  InboundSa& operator=(const InboundSa&) = delete;

  static void* operator new(std::size_t) { return Pooled<InboundSa>::take(); }
  static void operator delete(void* place) { Pooled<InboundSa>::give(place); }

  std::uint32_t spi() const { return spi_; }
  std::uint32_t lsiSpi() const { return lsiSpi_; }
  const SuiteShape& shape() const { return *shape_; }
  const std::shared_ptr<Keys>& keys() const { return keys_; }
  const Hit& localHit() const { return localHit_; }
  const Hit& peerHit() const { return peerHit_; }
  InnerFamily inboundFamily() const { return inboundFamily_; }

  ReplayWindow window;
  SaCounters counters;
  /// True until the first valid packet; esp::open clears it.
  std::atomic<bool> untouched{true};
  /// Integrity failures since the last valid packet (RFC 4303 A3.1).
  std::atomic<std::uint32_t> failures{0};
  std::atomic<std::uint64_t> lastUsed{0};

 private:
  InboundSa() = default;
  std::uint32_t spi_ = 0;
  std::uint32_t lsiSpi_ = 0;
  const SuiteShape* shape_ = nullptr;
  std::shared_ptr<Keys> keys_;
  Hit localHit_;
  Hit peerHit_;
  InnerFamily inboundFamily_ = InnerFamily::Hit;
};

}  // namespace hipd
