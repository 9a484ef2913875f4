/** Addresses with ports, as hipd's answers have them. */
import { parseIp } from "../core/ip.ts";

/** The address of a locator or path end, without its port. */
export function hostOf(endpoint: string): string {
  const bracketed = /^\[(.*)\](?::\d+)?$/.exec(endpoint);
  if (bracketed !== null) return bracketed[1] as string;
  return parseIp(endpoint) !== undefined ? endpoint : endpoint.replace(/:\d+$/, "");
}
