/** Worlds in which machines move: what addresses they may have, how impatient their protocol is, and who must find whom. */
import type { Endpoint } from "../../src/core/types.ts";
import type { HostConfig, MobilityConfig } from "../../src/hip/config.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import type { Daemon, Machine } from "./daemon.ts";
import type { SeededRandom } from "./random.ts";
import { entry, type Pair, type World } from "./world.ts";

/** Share of the worlds in which machines move. */
export const MOBILE_SHARE = 0.75;
/** No path is left alone for longer in such a world, in milliseconds: then what is over is over. */
export const LONGEST_HOLD = 8_000;

/** The same machine, with other places where it may be. */
export function mobileMachine(machine: Machine, index: number, random: SeededRandom): Machine {
  const n = index + 1;
  const pool = machine.behindNat
    ? [`192.168.${n}.2`, `192.168.${n}.3`, `10.0.${n}.2`, `2001:db8:${n}::2`]
    : [`10.0.${n}.1`, `10.0.${n}.2`, `10.0.${n}.3`, `2001:db8:${n}::1`, `2001:db8:${n}::2`];
  const more = random.chance(0.4) ? random.shuffled(pool).slice(0, 1 + random.below(2)) : [];
  const addresses = [...new Set([...machine.addresses, ...more])];
  return { ...machine, addresses, pool, mobile: true, host: mobileHost(machine.host, random) };
}

function mobileHost(host: HostConfig, random: SeededRandom): HostConfig {
  const mobility: MobilityConfig = {
    ...DEFAULT_CONFIG.mobility,
    pathPolicy: random.chance(0.7) ? "preferred" : "lowest-rtt",
    search: random.pick([5_000, 30_000]),
    recheck: random.pick([1_000, 5_000]),
    hold: random.pick([500, 2_000]),
    holdMax: LONGEST_HOLD,
  };
  return { ...host, mobility };
}

/**
 * Pairs that must be able to talk now: both know each other, and one of them can reach the other where it is, at an address
 * that the configuration names, or that it had learned. Behind a NAT nobody is reached first.
 */
export function reachable(world: World): readonly Pair[] {
  return world.permitted().filter(({ a, b }) => canCall(a, b) || canCall(b, a));
}

/** Whether `a` knows where `b` is now, and has an address of that family. */
export function canCall(a: Daemon, b: Daemon): boolean {
  const peer = entry(a, b);
  if (peer === undefined) return false;
  const port = peer.carrier === "none" ? 0 : b.machine.port;
  return knownPlaces(a, b).some(
    (one) =>
      one.port === port &&
      b.addresses.includes(one.address) &&
      !isInside(one.address) &&
      a.addresses.some(
        (own) =>
          own.includes(":") === one.address.includes(":") && (peer.carrier === "udp" || !isInside(own)),
      ),
  );
}

/** Where `a` may look for `b`: as configured, and as learned. */
export function knownPlaces(a: Daemon, b: Daemon): readonly Endpoint[] {
  const peer = entry(a, b);
  if (peer === undefined) return [];
  const { overlay } = a;
  const hit = peer.hit;
  const learned = hit === undefined ? [] : (overlay?.peers.byHit(hit)?.learned ?? []);
  return [...peer.locators, ...learned];
}

export function isInside(address: string): boolean {
  return address.startsWith("192.168.");
}
