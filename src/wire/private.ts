/** Parameters of this implementation, in the private range 32768 to 49151 (RFC 7401 5.2). All are non-critical. */
import { u32 } from "./field.ts";
import { parameter } from "./parameter.ts";

/**
 * Stands beside ESP_INFO and names a second SPI of the same SA (same keys, sequence numbers and replay window):
 * packets under it were IPv4 between LSIs at the sender. A peer that does not know it skips it and gets everything
 * under the first SPI. Covered by HIP_MAC and HIP_SIGNATURE.
 */
export const HIPD_LSI_SPI = parameter({
  type: 40386,
  name: "HIPD_LSI_SPI",
  rfc: "private",
  fields: { lsiSpi: u32 },
});

/**
 * In an UPDATE: the sender will be away for about so many seconds and come back, perhaps elsewhere. The receiver keeps
 * the association and what waits for it meanwhile. A peer that does not know it skips it.
 */
export const HIPD_AWAY = parameter({
  type: 40388,
  name: "HIPD_AWAY",
  rfc: "private",
  fields: { seconds: u32 },
});
