// What the kernel may do for us with many packets at once. Asked for by options, found out at start.
#pragma once

#include <string>

namespace hipd {

/// Wanted, or granted.
struct Offloads {
  /// The TUN device hands over TCP super-packets and unfinished checksums, and takes such packets.
  bool tso = true;
  /// The same for UDP (Linux 6.2).
  bool uso = true;
  /// Sockets cut what they are given into datagrams (UDP_SEGMENT, Linux 4.18).
  bool gso = true;
  /// Sockets give datagrams that came in a row as one (UDP_GRO, Linux 5.0).
  bool gro = true;
};

/// "tso uso gso gro", or "none": for the log.
std::string text(const Offloads& offloads);

}  // namespace hipd
