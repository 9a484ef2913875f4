/** What the doctor looks at. Everything is gathered before anything is judged, so that every verdict can be tested with made-up facts. */
import type { Result } from "../../core/types.ts";
import type { OwnLocatorView, PeerLocatorsView } from "../../overlay/locator-views.ts";
import type { CloudView, SightingView } from "../../overlay/sightings.ts";
import type { ClientError } from "../../runtime/control-client.ts";
import type { MetadataView } from "../../runtime/control-convert.ts";
import type { NamesStatus } from "../../runtime/dns/names.ts";
import type { AddressRow, LinkRow, RouteRow } from "../../runtime/network.ts";
import type { Wiring } from "../commands/dns.ts";
import type { AssociationDetails, StatusView } from "../views.ts";

/** A fact, or why it could not be found out. */
export type Known<T> = Result<T, string>;

/** The machine and who asks. */
export interface MachineFacts {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** When this program was built or installed, in the same unit: the clock cannot be before that. */
  readonly builtAt: number | undefined;
  readonly uid: number;
  /** Effective capabilities by name: "net_admin". */
  readonly capabilities: readonly string[];
  readonly kernel: string;
  readonly machine: string;
  /** PRETTY_NAME of os-release. */
  readonly os: string;
  readonly tun: { readonly exists: boolean; readonly openable: Known<undefined> };
  /** Undefined: nothing here knows whether the clock is synchronised. */
  readonly clock:
    | { readonly by: string; readonly synchronised: boolean; readonly detail: string }
    | undefined;
}

/** What can be known of the configuration even when it is wrong. */
export interface Plan {
  readonly file: string;
  readonly socket: string;
  readonly port: number;
  readonly interface: string;
  readonly lsiPrefix: string;
  readonly stateDirectory: string;
  readonly peersDirectory: string;
  readonly offloads: readonly string[];
  /** "auto", "off" or the name of a cloud. */
  readonly metadata: string;
  readonly peers: number;
  /** Where /metrics is, `127.0.0.1:9510`; undefined: nowhere. */
  readonly metrics: string | undefined;
  /** What of the HITs is routed to the interface: their whole prefix, or peers one by one. */
  readonly hitRoutes: "prefix" | "peers";
}

export interface ConfigFacts {
  readonly plan: Plan;
  /** As `hipd --check` says it: none when all is well. */
  readonly problems: readonly string[];
  /** Of all peers that the configuration has. */
  readonly peerNames: readonly string[];
  /** It could not be read because of rights: nothing can be said. */
  readonly unreadable: string | undefined;
}

export interface FileFacts {
  readonly path: string;
  readonly role: "key" | "keys" | "state" | "peers";
  readonly found: Known<{ readonly mode: number; readonly uid: number } | undefined>;
}

export interface DiskFacts {
  readonly path: string;
  /** Whether a file could be made there by whom hipd runs as. */
  readonly writable: Known<undefined>;
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly freeFiles: number;
}

/** What a running hipd says. */
export interface Answers {
  readonly status: StatusView;
  readonly associations: readonly AssociationDetails[];
  readonly own: readonly OwnLocatorView[];
  readonly peers: readonly PeerLocatorsView[];
  /** Undefined: an older hipd. */
  readonly whereabouts: Whereabouts | undefined;
  /** Undefined: an older hipd. */
  readonly names: NamesStatus | undefined;
  /** Counters, and the same again after `seconds`. */
  readonly before: Readonly<Record<string, number>>;
  readonly after: Readonly<Record<string, number>>;
  readonly seconds: number;
}

export interface Whereabouts {
  readonly seen: readonly SightingView[];
  readonly cloud: CloudView | null;
  readonly metadata: MetadataView | null;
}

export interface Process {
  readonly pid: number;
  /** What it was started as, without its arguments: "/usr/sbin/named". */
  readonly name: string;
}

export interface HipdProcess extends Process {
  readonly uid: number;
  readonly capabilities: readonly string[];
  /** It shares our network: same namespace. */
  readonly here: boolean;
}

export interface DaemonFacts {
  readonly answers: Result<Answers, ClientError>;
  readonly processes: readonly HipdProcess[];
}

/** One UDP socket on our port. */
export interface BoundSocket {
  readonly address: string;
  /** Undefined: whose it is can only be seen with more rights. */
  readonly owner: Process | undefined;
}

/** `systemctl show` of the unit. */
export interface UnitFacts {
  readonly name: string;
  readonly loaded: boolean;
  readonly active: string;
  readonly sub: string;
  readonly result: string;
  readonly enabled: string;
  readonly restarts: number;
  /** Exit status of the last end. */
  readonly status: number;
  readonly needsReload: boolean;
  /** Last lines of its journal that tell of errors. */
  readonly errors: readonly string[];
}

export interface NetworkFacts {
  readonly links: readonly LinkRow[];
  readonly addresses: readonly AddressRow[];
  readonly routes: readonly RouteRow[];
}

/** What packet filters say: texts of their own tools. */
export interface FilterFacts {
  /** `nft -j list ruleset`. */
  readonly nft: Known<unknown>;
  /** `iptables-save`, `ip6tables-save`. */
  readonly iptables: Known<string>;
  readonly ip6tables: Known<string>;
}

export interface NameFacts {
  readonly status: NamesStatus;
  readonly wiring: Wiring;
  /** One peer's name through the system's resolver; undefined: there is no peer with addresses. */
  readonly lookup: NameLookup | undefined;
}

export interface NameLookup {
  readonly name: string;
  readonly expected: readonly string[];
  readonly found: Known<readonly string[]>;
}

export interface Facts {
  readonly machine: MachineFacts;
  readonly config: ConfigFacts;
  readonly files: readonly FileFacts[];
  readonly disk: Known<DiskFacts>;
  readonly daemon: DaemonFacts;
  readonly hipctl: string;
  readonly unit: Known<UnitFacts>;
  readonly network: Known<NetworkFacts>;
  readonly sockets: readonly BoundSocket[];
  readonly filters: FilterFacts;
  /** The cloud that the firmware names. */
  readonly cloud: string | undefined;
  /** Undefined: hipd does not answer, or is an older one. */
  readonly names: NameFacts | undefined;
}
