/** The daemon's network for real: the native data plane, and the interface, addresses and routes in front of it. */
import { availableParallelism } from "node:os";
import { contains, HIT_PREFIX } from "../core/ip.ts";
import { err, ok, type Result } from "../core/types.ts";
import { type NativeLog, NativePlane } from "./native.ts";
import { addresses, guard, links, type NetworkPlan, setUp, tearDown } from "./network.ts";
import type { Network, NetworkError, NetworkOptions, NetworkSystem } from "./network-port.ts";

/** What BEET over UDP and IPv4 with AES-GCM-16 adds to an inner IPv6 packet, whose own header is not sent: 1500 - 1478. */
const OVERHEAD = 22;
const ETHERNET_MTU = 1500;
/** The least that IPv6 asks of a link (RFC 8200 5). */
const LEAST_MTU = 1280;
const MAX_WORKERS = 8;
const LOOPBACK_FLAG = 0x8;

export function nativeNetwork(log: NativeLog): NetworkSystem {
  return {
    open: (options) => inWords(() => open(options, log)),
    guard: (options) => inWords(() => guard(options)),
    teardown: (options) => inWords(() => tearDown(options)),
  };
}

function open(options: NetworkOptions, log: NativeLog): Network {
  const { lsiPrefix, lsi, port } = options;
  const name = options.interface;
  const mtu = options.mtu === 0 ? automaticMtu(options) : options.mtu;
  const workers = options.workers === 0 ? Math.min(MAX_WORKERS, availableParallelism()) : options.workers;
  const plane = NativePlane.open({
    interface: name,
    mtu,
    port,
    raw: options.plainIp,
    workers,
    ownLsi: lsi,
    lsiPrefix,
    log,
  });
  const plan = (hits: NetworkOptions["hits"], preferred: NetworkOptions["preferred"]): NetworkPlan => ({
    interface: name,
    // The first one is the kernel's choice of source.
    ownHits: [preferred, ...hits.filter((hit) => hit !== preferred)],
    ownLsi: lsi,
    lsiPrefix,
    mtu,
  });
  try {
    setUp(plan(options.hits, options.preferred));
  } catch (error) {
    plane.close();
    throw error;
  }
  return {
    plane,
    setIdentities: (hits, preferred) => {
      try {
        setUp(plan(hits, preferred));
      } catch (error) {
        log("warn", `the addresses of ${name} could not be changed: ${(error as Error).message}`);
      }
    },
  };
}

/** Fits the narrowest link that has an underlay address; wider packets of wider paths are not worth their fragments elsewhere. */
function automaticMtu(options: NetworkOptions): number {
  const own = (row: { readonly prefix: { readonly bytes: Uint8Array } }): boolean =>
    contains(HIT_PREFIX, row.prefix.bytes) || contains(options.lsiPrefix, row.prefix.bytes);
  const used = new Set(
    addresses()
      .filter((row) => !own(row))
      .map((row) => row.link),
  );
  const widths = links()
    .filter(
      (link) => used.has(link.index) && (link.flags & LOOPBACK_FLAG) === 0 && link.name !== options.interface,
    )
    .map((link) => link.mtu);
  return Math.max(LEAST_MTU, Math.min(...(widths.length === 0 ? [ETHERNET_MTU] : widths)) - OVERHEAD);
}

function inWords<T>(action: () => T): Result<T, NetworkError> {
  try {
    return ok(action());
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const permission = /permission denied|not permitted|CAP_NET/i.test(message);
    const kind = permission ? "permission" : /overlap|in use/i.test(message) ? "conflict" : "failed";
    return err({ kind, message });
  }
}
