#include "esp.h"

namespace hipd::esp {
namespace {

std::size_t paddedLength(const SuiteShape& shape, std::size_t payloadLength) {
  const std::size_t unit = shape.alignment;
  return (payloadLength + kTrailerLength + unit - 1) / unit * unit;
}

/// Padding 1, 2, 3, ... (RFC 4303 2.4), Pad Length and Next Header.
std::size_t writeTrailer(std::uint8_t* out, std::size_t padding, std::uint8_t nextHeader) {
  for (std::size_t i = 0; i < padding; i++) out[i] = static_cast<std::uint8_t>(i + 1);
  out[padding] = static_cast<std::uint8_t>(padding);
  out[padding + 1] = nextHeader;
  return padding + kTrailerLength;
}

/// The payload's length inside a decrypted text, or false when the padding is not 1, 2, 3, ...
bool stripTrailer(View text, std::size_t& payloadLength, std::uint8_t& nextHeader) {
  nextHeader = text[text.size() - 1];
  const std::size_t padding = text[text.size() - 2];
  if (padding + kTrailerLength > text.size()) return false;
  payloadLength = text.size() - kTrailerLength - padding;
  std::uint8_t wrong = 0;
  for (std::size_t i = 0; i < padding; i++) {
    wrong = static_cast<std::uint8_t>(wrong | (text[payloadLength + i] ^ (i + 1)));
  }
  return wrong == 0;
}

/// Tries later upper halves when so many packets in a row have failed that 2^32 may have been lost (RFC 4303 A3).
Verdict resynchronise(Cipher& cipher, EspHeader header, View copy, std::uint8_t* out, std::uint64_t& sequence) {
  for (std::uint32_t i = 1; i <= kResyncTries; i++) {
    header.sequence += 1ULL << 32;
    if (cipher.open(header, copy, out) == Verdict::Ok) {
      sequence = header.sequence;
      return Verdict::Ok;
    }
  }
  return Verdict::EspAuth;
}

}  // namespace

std::size_t sealedLength(const SuiteShape& shape, std::size_t payloadLength) {
  return kHeaderLength + shape.ivLength + paddedLength(shape, payloadLength) + shape.icvLength;
}

std::size_t payloadCapacity(const SuiteShape& shape, std::size_t espLength) {
  const std::size_t fixed = kHeaderLength + std::size_t{shape.ivLength} + shape.icvLength;
  if (espLength <= fixed) return 0;
  const std::size_t text = (espLength - fixed) / shape.alignment * shape.alignment;
  return text <= kTrailerLength ? 0 : text - kTrailerLength;
}

Verdict sealWith(Cipher& cipher, const SuiteShape& shape, const EspHeader& header, std::uint8_t nextHeader,
                 Pieces payload, Bytes out, std::size_t& written) {
  if (payload.size() > kMaxPieces) return Verdict::BufferSmall;
  std::size_t length = 0;
  for (const View& piece : payload) length += piece.size();
  const std::size_t total = sealedLength(shape, length);
  if (out.size() < total) return Verdict::BufferSmall;
  const std::size_t padding = paddedLength(shape, length) - length - kTrailerLength;

  store32(out.data(), header.spi);
  store32(out.data() + 4, static_cast<std::uint32_t>(header.sequence));
  const Bytes body = out.subspan(kHeaderLength, total - kHeaderLength);
  std::uint8_t* const text = body.data() + shape.ivLength;
  Verdict verdict;
  if (payload.size() == 1 && payload[0].data() == text) {
    const std::size_t trailer = writeTrailer(text + length, padding, nextHeader);
    const std::array<View, 1> whole{View(text, length + trailer)};
    verdict = cipher.seal(header, whole, body);
  } else {
    std::array<std::uint8_t, kMaxTrailer> trailer;
    std::array<View, kMaxPieces + 1> pieces;
    std::size_t count = 0;
    for (const View& piece : payload) pieces[count++] = piece;
    pieces[count++] = View(trailer.data(), writeTrailer(trailer.data(), padding, nextHeader));
    verdict = cipher.seal(header, Pieces(pieces.data(), count), body);
  }
  written = total;
  return verdict;
}

Verdict sealSpoiling(Cipher& cipher, const SuiteShape& shape, const EspHeader& header, std::uint8_t nextHeader,
                     Bytes payload, Bytes out, std::size_t& written) {
  const std::size_t total = sealedLength(shape, payload.size());
  if (out.size() < total) return Verdict::BufferSmall;
  const std::size_t padding = paddedLength(shape, payload.size()) - payload.size() - kTrailerLength;
  store32(out.data(), header.spi);
  store32(out.data() + 4, static_cast<std::uint32_t>(header.sequence));
  const std::size_t trailer = writeTrailer(payload.data() + payload.size(), padding, nextHeader);
  const std::array<View, 1> plain{View(payload.data(), payload.size() + trailer)};
  written = total;
  return cipher.seal(header, plain, out.subspan(kHeaderLength, total - kHeaderLength));
}

Verdict seal(CipherCache& cache, OutboundSa& sa, std::uint32_t spi, std::uint8_t nextHeader, Pieces payload, Bytes out,
             Sealed& sealed) {
  OutboundSa::Run run;
  if (const Verdict verdict = sa.reserve(1, run); verdict != Verdict::Ok) return verdict;
  sealed.softExpiry = run.softExpiry;
  Cipher* const cipher = cache.find(sa.keys());
  if (cipher == nullptr) return Verdict::SealFailed;
  const Verdict verdict = sealWith(*cipher, sa.shape(), {spi, run.first}, nextHeader, payload, out, sealed.length);
  if (verdict != Verdict::Ok) return verdict;
  std::size_t length = 0;
  for (const View& piece : payload) length += piece.size();
  sa.counters.add(1, length);
  return Verdict::Ok;
}

Verdict sealInPlace(CipherCache& cache, OutboundSa& sa, std::uint32_t spi, std::uint8_t nextHeader, Frame& frame,
                    Sealed& sealed) {
  const std::size_t before = kHeaderLength + sa.shape().ivLength;
  const std::size_t total = sealedLength(sa.shape(), frame.length);
  if (frame.start < before || frame.capacity - frame.start + before < total) return Verdict::BufferSmall;
  const std::array<View, 1> payload{frame.view()};
  const Bytes out(frame.data() - before, total);
  const Verdict verdict = seal(cache, sa, spi, nextHeader, payload, out, sealed);
  if (verdict != Verdict::Ok) return verdict;
  frame.start -= before;
  frame.length = sealed.length;
  return Verdict::Ok;
}

Verdict open(CipherCache& cache, InboundSa& sa, Frame& frame, Opened& opened) {
  Cipher* const cipher = cache.find(sa.keys());
  if (cipher == nullptr) return Verdict::EspAuth;
  const Verdict verdict = openWith(*cipher, cache.scratch(), sa, frame, opened);
  if (verdict == Verdict::Ok || verdict == Verdict::Dummy) sa.counters.add(1, frame.length);
  return verdict;
}

Verdict openWith(Cipher& cipher, Bytes scratch, InboundSa& sa, Frame& frame, Opened& opened) {
  const SuiteShape& shape = sa.shape();
  const std::size_t fixed = kHeaderLength + std::size_t{shape.ivLength} + shape.icvLength;
  if (frame.length < fixed + kTrailerLength) return Verdict::EspTruncated;
  const std::size_t textLength = frame.length - fixed;
  // Words for every suite (RFC 4303 2.4), blocks for CBC.
  if (textLength % shape.alignment != 0) return Verdict::EspAlignment;
  const std::uint8_t* const packet = frame.data();
  EspHeader header{load32(packet), sa.window.infer(load32(packet + 4))};
  opened.lsi = header.spi == sa.lsiSpi() && header.spi != 0;
  if (header.spi != sa.spi() && !opened.lsi) return Verdict::UnknownSpi;
  if (const Verdict early = sa.window.check(header.sequence); early != Verdict::Ok) return early;

  const View sealed = frame.view().subspan(kHeaderLength);
  std::uint8_t* const text = frame.data() + kHeaderLength + shape.ivLength;
  const std::uint32_t failures = sa.failures.load(std::memory_order_relaxed);
  const bool resync = failures % kResyncEvery == kResyncEvery - 1;
  // Opening in place spoils the ciphertext, so the one packet that gets more tries is opened from a copy.
  Bytes copy;
  if (resync) {
    copy = scratch.first(sealed.size() <= scratch.size() ? sealed.size() : 0);
    if (!copy.empty()) std::memcpy(copy.data(), sealed.data(), sealed.size());
  }
  Verdict verdict = cipher.open(header, sealed, text);
  if (verdict != Verdict::Ok && !copy.empty()) verdict = resynchronise(cipher, header, copy, text, header.sequence);
  if (verdict != Verdict::Ok) {
    sa.failures.fetch_add(1, std::memory_order_relaxed);
    return verdict;
  }
  if (failures != 0) sa.failures.store(0, std::memory_order_relaxed);
  if (const Verdict late = sa.window.commit(header.sequence); late != Verdict::Ok) return late;

  std::size_t payloadLength = 0;
  if (!stripTrailer(View(text, textLength), payloadLength, opened.nextHeader)) return Verdict::EspPadding;
  opened.sequence = header.sequence;
  opened.firstInbound =
      sa.untouched.load(std::memory_order_relaxed) && sa.untouched.exchange(false, std::memory_order_relaxed);
  frame.start += kHeaderLength + shape.ivLength;
  frame.length = payloadLength;
  return opened.nextHeader == proto::kNone ? Verdict::Dummy : Verdict::Ok;
}

}  // namespace hipd::esp
