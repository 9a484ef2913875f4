/** An event's details for people: algorithms by name, numbers with a sensible length. */
import { DH_GROUPS, ESP_SUITE_NAMES, HIP_CIPHERS, type Numbered, nameOf } from "./config-values.ts";

const NAMED: Readonly<Record<string, readonly Numbered[]>> = {
  espSuite: ESP_SUITE_NAMES,
  hipCipher: HIP_CIPHERS,
  dhGroup: DH_GROUPS,
};

export function readableDetail(
  detail: Readonly<Record<string, string | number>>,
): Readonly<Record<string, string | number>> {
  return Object.fromEntries(
    Object.entries(detail).map(([field, value]) => {
      if (typeof value === "string") return [field, value];
      const names = NAMED[field];
      return [field, names === undefined ? Math.round(value * 1000) / 1000 : nameOf(names, value)];
    }),
  );
}
