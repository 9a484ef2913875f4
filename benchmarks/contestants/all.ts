/** Every contestant there is, and which of them take part in a run. */
import { bare } from "./bare.ts";
import type { Contestant } from "./contestant.ts";
import { fastd } from "./fastd.ts";
import { hipd } from "./hipd.ts";
import { nebula } from "./nebula.ts";
import { openvpn } from "./openvpn.ts";
import { strongswan } from "./strongswan.ts";
import { stunnel } from "./stunnel.ts";
import { tinc } from "./tinc.ts";
import { tlsC, tlsNode } from "./tls.ts";
import { wireguardGo } from "./wireguard-go.ts";

export const CONTESTANTS: readonly Contestant[] = [
  ...[bare, hipd, tlsC, tlsNode, stunnel],
  ...[wireguardGo, openvpn, nebula, tinc, fastd, strongswan],
];

/** Without PEERS; of these the last two only where they are installed. */
const DEFAULT = ["bare", "hipd", "tls-c", "tls-node", "stunnel", "wireguard-go"];

export interface Choice {
  readonly chosen: readonly Contestant[];
  /** One line for each that was asked for and cannot run. */
  readonly skipped: readonly string[];
}

/** `wanted`: names with commas, "all", or nothing for the usual ones. Throws for a name that does not exist. */
export function choose(wanted: string, all: readonly Contestant[] = CONTESTANTS): Choice {
  const names =
    wanted === "" ? DEFAULT : wanted === "all" ? all.map((one) => one.name) : wanted.split(/[\s,]+/);
  const unknown = names.filter((name) => !all.some((one) => one.name === name));
  if (unknown.length > 0) {
    throw new Error(
      `there is no contestant "${unknown.join('", "')}"; there are ${all.map((one) => one.name).join(", ")}, and all`,
    );
  }
  const asked = all.filter((one) => names.includes(one.name));
  const reasons = asked.map((one) => [one, one.missing()] as const);
  return {
    chosen: reasons.filter(([, reason]) => reason === undefined).map(([one]) => one),
    skipped: reasons
      .filter(([, reason]) => reason !== undefined)
      .map(([one, reason]) => `skipped ${one.name}: ${reason}`),
  };
}
