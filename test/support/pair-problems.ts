/** What must hold between two hosts after whatever a test did to them. */
import { toHex } from "../../src/core/bytes.ts";
import type { SaSpec } from "../../src/hip/sa.ts";
import type { Pair } from "./pair.ts";

/** What must hold after whatever a test did: no key sent under twice, no SA lost or left over. */
export function problemsOf(pair: Pair): readonly string[] {
  return pair.nodes.flatMap((node) => {
    const repeated = node.outboundKeys.length - new Set(node.outboundKeys).size;
    const problems = [...node.faults, ...(repeated > 0 ? [`${repeated} keys used again`] : [])];
    const open = node.host
      .associations()
      .some(({ state }) => ["I2-SENT", "R2-SENT", "ESTABLISHED", "CLOSING"].includes(state));
    if (!open && node.sas.size > 0) problems.push(`${node.sas.size} SAs left over`);
    return problems.map((text) => `${node.name}: ${text}`);
  });
}

/** Why data cannot flow between the two in both directions; nothing when it can. */
export function unusable(pair: Pair): readonly string[] {
  return [pair.a, pair.b].flatMap((from) => {
    const to = pair.other(from);
    const out = from.sas.get(`out/${from.routes.get(to.hit)}`);
    if (out === undefined) return [`${from.name} has no SA for its route ${from.routes.get(to.hit)}`];
    const inbound = to.sas.get(`in/${out.spi}`);
    if (inbound === undefined) return [`${to.name} does not know SPI ${out.spi}`];
    const keys = (sa: SaSpec): string =>
      `${sa.suite} ${sa.lsiSpi} ${toHex(sa.encryptionKey)} ${toHex(sa.integrityKey)}`;
    return keys(out) === keys(inbound) ? [] : [`${from.name} sends under other keys than ${to.name} has`];
  });
}
