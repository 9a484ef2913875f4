/** What the daemon needs of whoever opens the interface and the native data plane; tests put something else in its place. */
import type { Prefix } from "../core/ip.ts";
import type { Hit, Lsi, Result } from "../core/types.ts";
import type { DataPlane } from "../driver/ports.ts";
import type { CarrierLink } from "./carrier.ts";
import type { FlowSource } from "./flow-log.ts";
import type { ServiceAddon } from "./native-service.ts";

/** A data plane that was stopped so that another process can go on with it: see native.ts. */
export interface SuspendedPlane {
  /** The tables, as native/takeover.h describes. It holds keys: overwrite it after use, and let it never touch a disk. */
  readonly blob: Uint8Array;
  /** The queues of the TUN device, one for each worker. The holder closes them, or `NativePlane.resume` takes them. */
  readonly tunFds: readonly number[];
  /** The sockets of the underlay, UDP and raw ones, in the order that the blob knows. The same holds for them. */
  readonly udpFds: readonly number[];
}

export interface NetworkOptions {
  readonly interface: string;
  readonly port: number;
  readonly lsiPrefix: Prefix;
  /** 0: from the path. */
  readonly mtu: number;
  /** 0: as many as processors, at most 8. */
  readonly workers: number;
  /** The AEAD back-end; "auto": the fastest that works. */
  readonly aead?: "auto" | "builtin" | "ipsec-mb" | "openssl";
  /** What may be used of the kernel; everything by default. */
  readonly offloads?: readonly ("tso" | "uso" | "gso" | "gro")[];
  /** Whether TCP through the overlay asks for ECN, true by default. */
  readonly ecn?: boolean;
  /** Which HITs have a route to the interface: all by default, or those that `setSources` names. */
  readonly hitRoutes?: "prefix" | "peers";
  /** How long data threads look for packets before they sleep; 0 by default. */
  readonly busyPollMicros?: number;
  /** How long nothing may come back from a peer that packets go to, before its path is looked at; 500 by default. */
  readonly silentMillis?: number;
  /** The host's own LSI. */
  readonly lsi: Lsi;
  /** The host's own HITs; `preferred` is what the kernel should choose as source. */
  readonly hits: readonly Hit[];
  readonly preferred: Hit;
  /** Whether sockets for IP protocols 139 and 50 are needed from the start. */
  readonly plainIp: boolean;
  /** A predecessor's data plane that runs already. It must fit: see `misfit`. */
  readonly inherited?: DataPlane;
  /** Takes one line about something that an administrator should know. */
  readonly log: (level: "info" | "warn", message: string) => void;
}

export interface NetworkError {
  readonly kind: "permission" | "conflict" | "failed";
  /** What was wrong, where, and what to do. */
  readonly message: string;
}

/** Packets to `peer` must leave from `local`. */
export interface PeerSource {
  readonly peer: Hit;
  readonly local: Hit;
}

export interface Network {
  readonly plane: DataPlane;
  /** Ends the data plane for a successor; undefined where it cannot have one. @throws Error; then it goes on. */
  suspend?(): SuspendedPlane | undefined;
  /** How many data workers have had work for so many milliseconds without doing any. */
  stalled?(millis: number): number;
  /** Who talks to whom; undefined where that cannot be told. */
  readonly flows?: FlowSource;
  /** The host's own HITs changed: their addresses on the interface follow. */
  setIdentities(hits: readonly Hit[], preferred: Hit): void;
  /** All peers that are shown another identity than the preferred one; with `hitRoutes` "peers" all whose HIT is known. */
  setSources?(sources: readonly PeerSource[]): void;
}

export interface NetworkSystem {
  /** Interface, addresses, routes, sockets and the data plane behind them. */
  open(options: NetworkOptions): Result<Network, NetworkError>;
  /** Why `inherited` is not what these options ask for; undefined: it is. */
  misfit?(options: NetworkOptions): string | undefined;
  /** Only the routes that keep overlay traffic from leaving in the clear, for before the daemon starts. */
  guard(options: Pick<NetworkOptions, "interface" | "lsiPrefix">): Result<undefined, NetworkError>;
  /** Removes the interface and the routes that a daemon left behind. */
  teardown(options: Pick<NetworkOptions, "interface" | "lsiPrefix">): Result<undefined, NetworkError>;
  /** Gives memory that native code has freed back to the system. */
  trimMemory?(): void;
  /** What only native code can do for the process: see native-service.ts. */
  readonly service?: Pick<
    ServiceAddon,
    "notify" | "dropPrivileges" | "nameProcess" | "makeSealed" | "makeTicket" | "closeFd" | "exitNow"
  >;
  /** How a carrier is reached: see carrier.ts. */
  readonly carriers?: CarrierLink;
}
