// rtnetlink messages of any content: never read beyond their end.
#include "../netlink.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hipd::netlink;
  eachMessage({data, size}, [](hipd::View message) {
    Link link;
    LinkAddress address;
    Route route;
    parseLink(message, link);
    parseAddress(message, address);
    parseRoute(message, route);
  });
  return 0;
}
