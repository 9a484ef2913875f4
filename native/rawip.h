// Raw sockets for the plain carriers: HIP as IP protocol 139 (RFC 7401 5.1) and ESP as IP protocol 50 (RFC 7402 3).
#pragma once

#include "udp.h"

namespace hipd {

/// A non-blocking raw socket of one family (4 or 6). The kernel makes and, for IPv4, shows the IP header.
Socket openRaw(int family, int protocol);

/// Makes the kernel take ICMPv6 "packet too big" about raw IPv6 packets of `protocol` for the route's MTU: Linux looks
/// at them only where a raw socket wants errors (IPV6_RECVERR) or is connected. This one receives nothing and is never
/// read, so that errors which anybody can forge do not reach the sockets that send.
Fd openMtuListener(int protocol);

/// Cuts off the IPv4 header that raw IPv4 sockets show. False when there is no whole header.
bool stripIpv4(Frame& frame);

}  // namespace hipd
