/** What the network is asked for, from the configuration and what the overlay made of it; and whether a predecessor's fits. */
import { silentMillis } from "../overlay/config.ts";
import type { Overlay } from "../overlay/overlay.ts";
import type { Inheritance } from "./inherit.ts";
import type { Log } from "./log.ts";
import type { NetworkOptions, NetworkSystem } from "./network-port.ts";
import type { Prepared } from "./prepare.ts";

export function networkOptions(
  { config, overlay: settings }: Prepared,
  overlay: Overlay,
  log: Log,
): NetworkOptions {
  const { network } = config;
  return {
    interface: network.interface,
    port: network.port,
    lsiPrefix: network.lsiPrefix,
    mtu: network.mtu,
    workers: network.workers,
    aead: network.aead,
    offloads: network.offloads,
    ecn: network.ecn,
    hitRoutes: network.hitRoutes,
    busyPollMicros: network.busyPollMicros,
    silentMillis: silentMillis(settings.locators),
    lsi: overlay.ownLsi,
    hits: settings.identities.map((identity) => identity.hit),
    preferred: settings.defaultIdentity,
    plainIp: network.carrier === "none" || config.peers.some((peer) => peer.carrier === "none"),
    log: (level, message) => log[level]("network", message),
  };
}

/** The inheritance, if what the configuration asks for is what its data plane does; else that is closed and undefined. */
export function fitting(
  inheritance: Inheritance | undefined,
  system: NetworkSystem,
  options: NetworkOptions,
  log: Log,
): Inheritance | undefined {
  if (inheritance === undefined) return undefined;
  const { plane, control, gapMicros, carriedMillis, listen } = inheritance;
  const reason = system.misfit?.({ ...options, inherited: plane });
  if (reason !== undefined) {
    plane.close();
    takeoverRefused(log, reason);
    return undefined;
  }
  listen(options.log);
  const { length: associations } = control.overlay.host.associations;
  const millis = Math.round(gapMicros / 1000);
  log.info("took-over", "goes on with the associations of the hipd before", {
    associations,
    millis,
    from: control.version,
    by: carriedMillis === undefined ? "store" : "carrier",
    carried: carriedMillis,
  });
  return inheritance;
}

export function takeoverRefused(log: Log, reason: string): void {
  log.warn("takeover-refused", "what the hipd before left is not taken; associations are made anew", {
    reason,
  });
}
