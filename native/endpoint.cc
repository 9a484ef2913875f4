#include "endpoint.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <ctime>
#include <utility>

namespace hipd {

SocketAddress::SocketAddress(const Endpoint& endpoint) : v6{} {
  if (endpoint.address.family == 4) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, endpoint.address.bytes.data(), 4);
    length = sizeof v4;
  } else if (endpoint.address.family == 6) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    std::memcpy(&v6.sin6_addr, endpoint.address.bytes.data(), 16);
    length = sizeof v6;
  }
}

Endpoint SocketAddress::endpoint() const {
  Endpoint result;
  if (any.sa_family == AF_INET) {
    result.address.family = 4;
    std::memcpy(result.address.bytes.data(), &v4.sin_addr, 4);
    result.port = ntohs(v4.sin_port);
  } else if (any.sa_family == AF_INET6) {
    result.port = ntohs(v6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      result.address.family = 4;
      std::memcpy(result.address.bytes.data(), v6.sin6_addr.s6_addr + 12, 4);
    } else {
      result.address.family = 6;
      std::memcpy(result.address.bytes.data(), &v6.sin6_addr, 16);
    }
  }
  return result;
}

std::string text(const Address& address) {
  if (address.family == 0) return "*";
  char buffer[INET6_ADDRSTRLEN] = {};
  inet_ntop(address.family == 4 ? AF_INET : AF_INET6, address.bytes.data(), buffer, sizeof buffer);
  return buffer;
}

std::string errorText(int error) {
  char buffer[128] = {};
  return strerror_r(error, buffer, sizeof buffer);
}

SourceControl::SourceControl(const Address& source) {
  msghdr message{};
  message.msg_control = bytes.data();
  message.msg_controllen = bytes.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (source.family == 4) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, source.bytes.data(), 4);
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
    length = CMSG_SPACE(sizeof info);
  } else if (source.family == 6) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, source.bytes.data(), 16);
    header->cmsg_level = IPPROTO_IPV6;
    header->cmsg_type = IPV6_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
    length = CMSG_SPACE(sizeof info);
  }
}

void SourceControl::writeTo(std::uint8_t* out, std::uint32_t interface) const {
  if (length == 0) return;
  std::memcpy(out, bytes.data(), length);
  const bool v4 = length == CMSG_SPACE(sizeof(in_pktinfo));
  const std::size_t at = CMSG_LEN(0) + (v4 ? offsetof(in_pktinfo, ipi_ifindex) : offsetof(in6_pktinfo, ipi6_ifindex));
  const std::uint32_t index = interface & ~kChosen;
  std::memcpy(out + at, &index, sizeof index);
  if ((interface & kChosen) != 0 && !v4) std::memset(out + CMSG_LEN(0) + offsetof(in6_pktinfo, ipi6_addr), 0, 16);
}

Address destinationOf(const msghdr& message) {
  Address address;
  auto* mutableMessage = const_cast<msghdr*>(&message);  // CMSG_NXTHDR takes no const
  for (cmsghdr* header = CMSG_FIRSTHDR(mutableMessage); header != nullptr;
       header = CMSG_NXTHDR(mutableMessage, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      address.family = 4;
      std::memcpy(address.bytes.data(), &info.ipi_addr, 4);
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      address.family = 6;
      std::memcpy(address.bytes.data(), &info.ipi6_addr, 16);
    }
  }
  return address;
}

namespace {
std::uint64_t read(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}
}  // namespace

std::uint64_t monotonicNow() {
  return read(CLOCK_MONOTONIC);
}
std::uint64_t monotonicCoarse() {
  return read(CLOCK_MONOTONIC_COARSE);
}

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace hipd
