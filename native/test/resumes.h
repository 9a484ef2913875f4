// Suspends and resumes the planes of planes.h.
#pragma once

#include <fcntl.h>

#include "../takeover.h"
#include "planes.h"

namespace hipd::test {

/// Each datagram comes out as one packet.
inline constexpr Offloads kPlain{false, false, true, true};

inline double millisSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

struct Given {
  Octets blob;
  std::vector<int> tuns;
  std::vector<int> sockets;
};

inline Given suspend(End& end) {
  Suspended suspended;
  const std::string error = end.plane->suspend(suspended);
  if (!error.empty()) fail(error.c_str(), __LINE__, "not suspended");
  Given given{suspended.blob, {}, {}};
  for (Fd& fd : suspended.tuns) given.tuns.push_back(fd.release());
  for (Fd& fd : suspended.sockets) given.sockets.push_back(fd.release());
  return given;
}

inline std::unique_ptr<Plane> resume(const Given& given, std::string& error, int ticket = -1) {
  std::vector<std::string> notes;
  const Handover from{given.blob, given.tuns, given.sockets, [](void*) {}, nullptr, ticket};
  return Plane::resume(from, error, notes);
}

inline void goOn(End& end, const Given& given) {
  std::string error;
  end.plane = resume(given, error);
  if (end.plane == nullptr) fail(error.c_str(), __LINE__, "not resumed");
}

/// The old plane is destroyed before or after the new one begins.
inline void follow(End& end, bool destroyFirst) {
  const Given given = suspend(end);
  std::unique_ptr<Plane> old = std::move(end.plane);
  if (destroyFirst) old.reset();
  goOn(end, given);
}

inline void forget(const Given& given) {
  for (const int fd : given.tuns) Fd{fd}.reset();
  for (const int fd : given.sockets) Fd{fd}.reset();
}

inline std::size_t openDescriptors() {
  std::size_t count = 0;
  for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

/// The same once it does not change any more: threads that begin open some of their own.
inline std::size_t descriptorsAtRest() {
  std::size_t count = openDescriptors();
  for (int same = 0; same < 10; same++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (const std::size_t now = openDescriptors(); now != count) {
      count = now;
      same = 0;
    }
  }
  return count;
}

}  // namespace hipd::test
