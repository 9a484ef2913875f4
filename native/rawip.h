// Raw sockets for the plain carriers: HIP as IP protocol 139 (RFC 7401 5.1) and ESP as IP protocol 50 (RFC 7402 3).
#pragma once

#include "udp.h"

namespace hipd {

/// A non-blocking raw socket of one family (4 or 6). The kernel makes and, for IPv4, shows the IP header.
Socket openRaw(int family, int protocol);

/// Cuts off the IPv4 header that raw IPv4 sockets show. False when there is no whole header.
bool stripIpv4(Frame& frame);

}  // namespace hipd
