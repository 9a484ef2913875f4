// Any bytes as a packet that is to be answered with an ICMP error, and as an echo reply.
#include "../icmp.h"
#include "../test/packets.h"

using namespace hipd;
using namespace hipd::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 4096) return 0;
  const Octets packet(data + 1, data + size);
  for (const IcmpError error : {IcmpError::HostUnreachable, IcmpError::Prohibited, IcmpError::TooBig}) {
    Octets out((data[0] & 1U) != 0 ? kMaxIcmpError : data[0]);
    const std::size_t length = buildIcmpError(error, packet, 1400, out);
    if (length == 0) continue;
    const View answer = View(out).first(length);
    InnerView view;
    if (length > out.size() || parseInner(answer, view) != Verdict::Ok) std::abort();
    if (!view.icmpError || view.totalLength != length || !checksumsRight(answer)) std::abort();
    // An error is never answered with an error.
    if (buildIcmpError(error, answer, 1400, out) != 0) std::abort();
  }
  EchoMessage reply;
  parseEcho(data[0], packet, Hit{}, Hit{}, reply);
  return 0;
}
