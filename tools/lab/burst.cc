// Sends numbered UDP datagrams as a program does that leaves segmentation to the kernel (UDP_SEGMENT).
// Arguments: address, port, bytes of a datagram, datagrams, datagrams of a message, traffic class, first number.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  const auto number = [&](int i) { return static_cast<int>(std::strtol(argv[i], nullptr, 10)); };
  const int size = number(3);
  const int count = number(4);
  const int together = number(5);
  const int trafficClass = number(6);
  const int first = number(7);
  sockaddr_in6 six{};
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = six.sin6_port = htons(static_cast<std::uint16_t>(number(2)));
  six.sin6_family = AF_INET6;
  const bool v4 = inet_pton(AF_INET, argv[1], &four.sin_addr) == 1;
  if (!v4 && inet_pton(AF_INET6, argv[1], &six.sin6_addr) != 1) return 2;
  const int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  const sockaddr* to = v4 ? reinterpret_cast<sockaddr*>(&four) : reinterpret_cast<sockaddr*>(&six);
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  if (setsockopt(fd, level, v4 ? IP_TOS : IPV6_TCLASS, &trafficClass, sizeof trafficClass) != 0) return 1;
  if (together > 1 && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size) != 0) {
    return std::perror("UDP_SEGMENT"), 1;
  }
  int sent = 0;
  while (sent < count) {
    std::vector<std::uint8_t> message;
    for (const int end = std::min(count, sent + together); sent < end; sent++) {
      // The last of a message may be shorter.
      const int length = sent + 1 == end && together > 1 ? size - 1 - sent % 7 : size;
      const auto value = static_cast<std::uint32_t>(first + sent);
      for (int i = 0; i < length; i++) {
        message.push_back(static_cast<std::uint8_t>(i < 4 ? value >> (24 - 8 * i) : value + static_cast<unsigned>(i)));
      }
    }
    // Not connected: nobody needs to listen there.
    if (sendto(fd, message.data(), message.size(), 0, to, v4 ? sizeof four : sizeof six) < 0) {
      return std::perror("sendto"), 1;
    }
  }
  std::printf("%d\n", sent);
}
