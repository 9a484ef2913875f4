// A plane as an object of JavaScript. Part of addon.cc, which includes node_api.h before it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "arguments.h"
#include "plane.h"

namespace hipd {
namespace {

/// A plane and its way to call JavaScript. `plane` is null once closed.
struct Instance {
  std::unique_ptr<Plane> plane;
  napi_threadsafe_function notify = nullptr;
  /// Given away: it can only be closed.
  bool suspended = false;

  /// Ends all threads. May be called twice.
  void close() {
    plane.reset();
    if (notify != nullptr) napi_release_threadsafe_function(notify, napi_tsfn_abort);
    notify = nullptr;
  }
};

constexpr napi_type_tag kTag = {0x5fb5d1a0c36847e1ull, 0x9f1e8f1d04b2a7c3ull};

/// The plane that is the first argument; nullptr (and an exception) when it is something else or closed.
Instance* instanceOf(napi_env env, Arguments& arguments) {
  const napi_value object = arguments.raw(0);
  bool tagged = false;
  void* instance = nullptr;
  if (!arguments.ok()) return nullptr;
  if (object == nullptr || napi_check_object_type_tag(env, object, &kTag, &tagged) != napi_ok || !tagged ||
      napi_unwrap(env, object, &instance) != napi_ok) {
    // A failed call may leave its own exception pending; it is replaced by one of ours.
    bool pending = false;
    napi_value exception = nullptr;
    if (napi_is_exception_pending(env, &pending) == napi_ok && pending)
      napi_get_and_clear_last_exception(env, &exception);
    arguments.fail("plane");
    return nullptr;
  }
  return static_cast<Instance*>(instance);
}

Plane* planeOf(napi_env env, Arguments& arguments) {
  Instance* instance = instanceOf(env, arguments);
  if (instance == nullptr) return nullptr;
  if (instance->plane == nullptr || instance->suspended) {
    arguments.fail(instance->suspended ? "plane (it is suspended)" : "plane (it is closed)");
    return nullptr;
  }
  return instance->plane.get();
}

void callNotify(napi_env env, napi_value function, void*, void*) {
  if (env == nullptr || function == nullptr) return;
  napi_call_function(env, undefined(env), function, 0, nullptr, nullptr);
}

void closeInstance(void* instance) {
  static_cast<Instance*>(instance)->close();
}

void finalizeInstance(napi_env env, void* instance, void*) {
  napi_remove_env_cleanup_hook(env, closeInstance, instance);
  closeInstance(instance);
  delete static_cast<Instance*>(instance);
}

/// How a plane comes to be: `listener` and `context` are what it calls when events wait.
struct Birth {
  void (*listener)(void*) = nullptr;
  void* context = nullptr;
  std::string error;
  std::vector<std::string> notes;
};

/// `begin(Birth&)` gives a plane, or nullptr and the error. -> [plane, ...notes]; throws an Error.
template <class Begin>
napi_value launch(napi_env env, napi_value notify, Begin&& begin) {
  auto instance = std::make_unique<Instance>();
  if (napi_create_threadsafe_function(env, notify, nullptr, string(env, "hipd data plane"), 0, 1, nullptr, nullptr,
                                      nullptr, callNotify, &instance->notify) != napi_ok) {
    napi_throw_error(env, nullptr, "Node refused a thread-safe function");
    return nullptr;
  }
  Birth birth;
  birth.context = instance->notify;
  birth.listener = [](void* function) {
    napi_call_threadsafe_function(static_cast<napi_threadsafe_function>(function), nullptr, napi_tsfn_nonblocking);
  };
  instance->plane = begin(birth);
  if (instance->plane == nullptr) {
    instance->close();
    napi_throw_error(env, nullptr, birth.error.c_str());
    return nullptr;
  }
  napi_value object = nullptr;
  napi_value result = nullptr;
  Instance* raw = instance.release();
  if (napi_create_object(env, &object) != napi_ok ||
      napi_wrap(env, object, raw, finalizeInstance, nullptr, nullptr) != napi_ok) {
    raw->close();
    delete raw;
    return nullptr;
  }
  napi_type_tag_object(env, object, &kTag);
  napi_add_env_cleanup_hook(env, closeInstance, raw);
  napi_create_array(env, &result);
  napi_set_element(env, result, 0, object);
  for (std::uint32_t i = 0; i < birth.notes.size(); i++) {
    napi_set_element(env, result, i + 1, string(env, birth.notes[i]));
  }
  return result;
}

}  // namespace
}  // namespace hipd
