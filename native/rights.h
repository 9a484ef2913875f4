// Descriptors on their way from process to process (SCM_RIGHTS of unix(7)).
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "endpoint.h"

namespace hipd {

/// Room for `kMost` descriptors beside one message.
template <std::size_t kMost>
class Rights {
 public:
  /// For sending. The caller has counted them; the message must not outlive this.
  void attach(msghdr& header, std::span<const int> fds) {
    if (fds.empty()) return;
    const std::size_t size = fds.size() * sizeof(int);
    header.msg_control = bytes_.data();
    header.msg_controllen = CMSG_SPACE(size);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(rights), fds.data(), size);
  }

  /// For receiving: what comes lands here.
  void room(msghdr& header) {
    header.msg_control = bytes_.data();
    header.msg_controllen = bytes_.size();
  }

  /// What a message brought; it is ours whether or not the message is any good.
  static std::vector<Fd> taken(msghdr& header) {
    std::vector<Fd> fds;
    for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
      if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
      const std::size_t count = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; i++) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(one) + i * sizeof fd, sizeof fd);
        fds.emplace_back(fd);
      }
    }
    return fds;
  }

 private:
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(kMost * sizeof(int))> bytes_{};
};

}  // namespace hipd
