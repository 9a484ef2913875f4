// Sends whole IP packets, one in hex on each line of standard input, with whatever addresses they carry.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

namespace {

std::vector<std::uint8_t> bytesOf(const std::string& hex) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

bool inject(int v4, int v6, const std::vector<std::uint8_t>& packet) {
  if (packet.size() >= 20 && packet[0] >> 4 == 4) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    std::memcpy(&to.sin_addr, &packet[16], 4);
    return sendto(v4, packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) > 0;
  }
  if (packet.size() >= 40 && packet[0] >> 4 == 6) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    std::memcpy(&to.sin6_addr, &packet[24], 16);
    return sendto(v6, packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) > 0;
  }
  errno = EINVAL;
  return false;
}

}  // namespace

int main() {
  const int v4 = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  const int v6 = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
  const int on = 1;
  if (v4 < 0 || v6 < 0 || setsockopt(v6, IPPROTO_IPV6, IPV6_HDRINCL, &on, sizeof on) != 0) {
    std::perror("inject: raw socket");
    return 1;
  }
  std::string line;
  int sent = 0;
  while (std::getline(std::cin, line)) {
    if (!inject(v4, v6, bytesOf(line))) {
      std::perror("inject: sendto");
      return 1;
    }
    sent++;
  }
  std::printf("%d\n", sent);
  return 0;
}
