// Values to and from JavaScript. Arguments are checked one by one: a wrong one throws a TypeError that names it. Part
// of addon.cc, which includes node_api.h before it.
#pragma once

#include <array>
#include <cmath>
#include <optional>
#include <string>

#include "endpoint.h"
#include "types.h"

namespace hipd {

namespace {

napi_value undefined(napi_env env) {
  napi_value value = nullptr;
  napi_get_undefined(env, &value);
  return value;
}

napi_value number(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

napi_value string(napi_env env, const std::string& text) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &result);
  return result;
}

/// A copy of bytes as a Uint8Array.
napi_value array(napi_env env, View bytes) {
  void* data = nullptr;
  napi_value buffer = nullptr;
  napi_value result = nullptr;
  if (napi_create_arraybuffer(env, bytes.size(), &data, &buffer) != napi_ok) return undefined(env);
  if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  napi_create_typedarray(env, napi_uint8_array, bytes.size(), buffer, 0, &result);
  return result;
}

/// The arguments of one call. After the first wrong one `ok()` is false and an exception is pending; values read then
/// are empty.
class Arguments {
 public:
  static constexpr std::size_t kMost = 16;

  Arguments(napi_env env, napi_callback_info info, const char* function) : env_(env), function_(function) {
    count_ = values_.size();
    if (napi_get_cb_info(env, info, &count_, values_.data(), nullptr, nullptr) != napi_ok) fail("call");
  }

  bool ok() const { return ok_; }
  napi_value raw(std::size_t i) const { return i < count_ ? values_[i] : nullptr; }

  /// Bytes of a Uint8Array; they live as long as the call.
  Bytes bytes(std::size_t i, const char* name, std::size_t least, std::size_t most) {
    napi_typedarray_type type = napi_int8_array;
    std::size_t length = 0;
    void* data = nullptr;
    bool isArray = false;
    if (i >= count_ || napi_is_typedarray(env_, values_[i], &isArray) != napi_ok || !isArray ||
        napi_get_typedarray_info(env_, values_[i], &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != napi_uint8_array || length < least || length > most) {
      fail(name);
      return {};
    }
    return {static_cast<std::uint8_t*>(data), length};
  }

  /// A whole number between 0 and `most`.
  std::uint64_t number(std::size_t i, const char* name, double most) {
    double value = 0;
    if (i >= count_ || napi_get_value_double(env_, values_[i], &value) != napi_ok || !(value >= 0) || value > most ||
        std::floor(value) != value) {
      fail(name);
      return 0;
    }
    return static_cast<std::uint64_t>(value);
  }
  std::uint32_t u32(std::size_t i, const char* name) {
    return static_cast<std::uint32_t>(number(i, name, 4294967295.0));
  }
  std::uint16_t u16(std::size_t i, const char* name) { return static_cast<std::uint16_t>(number(i, name, 65535.0)); }
  std::uint8_t u8(std::size_t i, const char* name, double most = 255.0) {
    return static_cast<std::uint8_t>(number(i, name, most));
  }
  /// A whole number that JavaScript can hold exactly.
  std::uint64_t large(std::size_t i, const char* name) { return number(i, name, 9007199254740991.0); }

  bool boolean(std::size_t i, const char* name) {
    bool value = false;
    if (i >= count_ || napi_get_value_bool(env_, values_[i], &value) != napi_ok) fail(name);
    return value;
  }

  std::string string(std::size_t i, const char* name, std::size_t most) {
    std::size_t length = 0;
    if (i >= count_ || napi_get_value_string_utf8(env_, values_[i], nullptr, 0, &length) != napi_ok || length > most) {
      fail(name);
      return "";
    }
    std::string text(length + 1, '\0');
    napi_get_value_string_utf8(env_, values_[i], text.data(), text.size(), &length);
    text.resize(length);
    return text;
  }

  napi_value function(std::size_t i, const char* name) {
    napi_valuetype type = napi_undefined;
    if (i >= count_ || napi_typeof(env_, values_[i], &type) != napi_ok || type != napi_function) {
      fail(name);
      return nullptr;
    }
    return values_[i];
  }

  Hit hit(std::size_t i, const char* name) {
    const View value = bytes(i, name, 16, 16);
    return value.empty() ? Hit{} : hitAt(value.data());
  }
  /// A HIT, or nothing for an empty array.
  std::optional<Hit> maybeHit(std::size_t i, const char* name) {
    const View value = bytes(i, name, 0, 16);
    if (value.empty()) return std::nullopt;
    if (value.size() != 16) {
      fail(name);
      return std::nullopt;
    }
    return hitAt(value.data());
  }
  Lsi lsi(std::size_t i, const char* name) {
    const View value = bytes(i, name, 4, 4);
    return value.empty() ? Lsi{} : lsiAt(value.data());
  }
  /// 4 or 16 bytes; with `optional` also none.
  Address address(std::size_t i, const char* name, bool optional = false) {
    const View value = bytes(i, name, optional ? 0 : 4, 16);
    Address address;
    if (value.empty()) return address;
    if (value.size() != 4 && value.size() != 16) {
      fail(name);
      return address;
    }
    address.family = value.size() == 4 ? 4 : 6;
    std::memcpy(address.bytes.data(), value.data(), value.size());
    return address;
  }

  void fail(const char* name) {
    if (ok_) napi_throw_type_error(env_, nullptr, (std::string(function_) + ": bad argument: " + name).c_str());
    ok_ = false;
  }

 private:
  const napi_env env_;
  const char* const function_;
  std::array<napi_value, kMost> values_{};
  std::size_t count_ = 0;
  bool ok_ = true;
};

}  // namespace
}  // namespace hipd
