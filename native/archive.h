// Values to bytes and back, with one description for both: code that shows its fields to an archive works with a Writer
// and, for bytes of any content, with a Reader.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "types.h"

namespace hipd {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

/// Counts bytes, or writes them where there is room for them.
class Writer {
 public:
  static constexpr bool kReads = false;
  explicit Writer(std::uint8_t* out) : out_(out) {}
  std::size_t size() const { return at_; }

  template <class T>
  void number(const T& value) {
    static_assert(std::is_integral_v<T> || std::is_enum_v<T>);
    put(&value, sizeof value);
  }
  void flag(const bool& value) { number(static_cast<std::uint8_t>(value)); }
  template <class T>
  void choice(const T& value, T) {
    number(value);
  }
  template <std::size_t N>
  void bytes(const std::array<std::uint8_t, N>& value) {
    put(value.data(), N);
  }
  void text(const std::string& value, std::size_t) {
    number(static_cast<std::uint32_t>(value.size()));
    put(value.data(), value.size());
  }
  void blob(const std::vector<std::uint8_t>& value, std::size_t) {
    number(static_cast<std::uint32_t>(value.size()));
    put(value.data(), value.size());
  }
  template <class Secret>
  void secret(const Secret& value) {
    number(static_cast<std::uint8_t>(value.view().size()));
    put(value.view().data(), value.view().size());
  }
  template <class T, class Each>
  void list(const std::vector<T>& values, std::size_t, Each&& each) {
    number(static_cast<std::uint32_t>(values.size()));
    for (const T& value : values) each(value);
  }
  void check(bool, const char*) {}

 private:
  void put(const void* from, std::size_t size) {
    if (out_ != nullptr && size != 0) std::memcpy(out_ + at_, from, size);
    at_ += size;
  }

  std::uint8_t* const out_;
  std::size_t at_ = 0;
};

/// Reads what Writer wrote. After the first fault everything is empty.
class Reader {
 public:
  static constexpr bool kReads = true;
  explicit Reader(View in) : in_(in) {}
  /// nullptr: none.
  const char* fault() const { return fault_; }
  std::size_t left() const { return in_.size(); }

  template <class T>
  void number(T& value) {
    static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>);
    take(&value, sizeof value);
  }
  void flag(bool& value) {
    std::uint8_t byte = 0;
    number(byte);
    check(byte <= 1, "a flag");
    value = byte == 1;
  }
  /// An enumeration whose values are 0 to `most`.
  template <class T>
  void choice(T& value, T most) {
    std::uint8_t byte = 0;
    static_assert(sizeof value == sizeof byte);
    number(byte);
    check(byte <= static_cast<std::uint8_t>(most), "a choice");
    value = static_cast<T>(fault_ == nullptr ? byte : 0);
  }
  template <std::size_t N>
  void bytes(std::array<std::uint8_t, N>& value) {
    take(value.data(), N);
  }
  void text(std::string& value, std::size_t most) {
    value.resize(length(most));
    take(value.data(), value.size());
  }
  void blob(std::vector<std::uint8_t>& value, std::size_t most) {
    value.resize(length(most));
    take(value.data(), value.size());
  }
  template <class Secret>
  void secret(Secret& value) {
    std::uint8_t size = 0;
    number(size);
    check(size <= Secret::kMost && size <= in_.size(), "the length of a key");
    if (fault_ != nullptr) return;
    value = Secret(in_.first(size));
    in_ = in_.subspan(size);
  }
  /// Each element takes at least one byte: what is claimed cannot be more than what is there.
  template <class T, class Each>
  void list(std::vector<T>& values, std::size_t most, Each&& each) {
    std::uint32_t count = 0;
    number(count);
    check(count <= most && count <= in_.size(), "the length of a list");
    if (fault_ != nullptr) return;
    values.reserve(std::min<std::size_t>(count, kReserve));
    for (std::uint32_t i = 0; i < count && fault_ == nullptr; i++) each(values.emplace_back());
  }
  void check(bool right, const char* what) {
    if (right || fault_ != nullptr) return;
    fault_ = what;
    in_ = {};
  }

 private:
  /// Elements that are given room before they are seen.
  static constexpr std::size_t kReserve = 1024;

  std::size_t length(std::size_t most) {
    std::uint32_t size = 0;
    number(size);
    check(size <= most && size <= in_.size(), "a length");
    return fault_ == nullptr ? size : 0;
  }
  void take(void* to, std::size_t size) {
    check(size <= in_.size(), "its end");
    if (fault_ != nullptr || size == 0) return;
    std::memcpy(to, in_.data(), size);
    in_ = in_.subspan(size);
  }

  View in_;
  const char* fault_ = nullptr;
};

}  // namespace hipd
