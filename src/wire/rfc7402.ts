/** Parameters of the ESP transport format (RFC 7402 5.1). */
import { list, u16, u32 } from "./field.ts";
import { parameter } from "./parameter.ts";

/** `keymatIndex` counts bytes. Several ESP_INFO may stand in one UPDATE of a multihomed host (RFC 8047 4.2.4). */
export const ESP_INFO = parameter({
  type: 65,
  name: "ESP_INFO",
  rfc: "RFC 7402 5.1.1",
  repeats: true,
  fields: { reserved: u16, keymatIndex: u16, oldSpi: u32, newSpi: u32 },
});

/** In order of preference. More than six suites: the first six are kept. */
export const ESP_TRANSFORM = parameter({
  type: 4095,
  name: "ESP_TRANSFORM",
  rfc: "RFC 7402 5.1.2",
  fields: { reserved: u16, suites: list(u16, { keep: 6 }) },
});
