/** The shape of hipd.toml: every table, key, default and limit, in one place. */
import * as z from "zod/mini";
import type { Result } from "../core/types.ts";
import { DEFAULT_CONFIG } from "../hip/config.ts";
import { DEFAULT_LOCATORS } from "../overlay/config.ts";
import { MAX_LOCATORS, MAX_PEERS } from "../overlay/peers.ts";
import {
  DH_GROUPS,
  ESP_SUITE_NAMES,
  HIP_CIPHERS,
  METADATA_SOURCES,
  type Numbered,
  type Parser,
  parseAddressPrefix,
  parseBusyPoll,
  parseDomain,
  parseDuration,
  parseDurationBetween,
  parseHitText,
  parseInterface,
  parseInterfacePattern,
  parseKeyFile,
  parseListen,
  parseLocator,
  parseLsiPrefix,
  parseName,
  parseNumbered,
} from "./config-values.ts";
import { parseDnsListen, parseDnsName, parseNamesDomain } from "./dns/settings.ts";
import { ON_NEW_INSTANCE } from "./instance.ts";
import { OFFLOADS } from "./offloads.ts";

const D = DEFAULT_CONFIG;

/** The UDP port of HIP NAT traversal (RFC 9028 5.1). */
export const HIP_PORT = 10500;

function parsed<I, T>(input: z.ZodMiniType<I>, parser: (value: I) => Result<T, string>) {
  return z.pipe(
    input,
    z.transform((value: I, context): T => {
      const result = parser(value);
      if (result.ok) return result.value;
      context.issues.push({ code: "custom", input: value, message: result.error });
      return z.NEVER;
    }),
  );
}

const text = <T>(parser: Parser<T>) => parsed(z.string(), parser);
const integer = (low: number, high: number) => z.int().check(z.gte(low), z.lte(high));
const duration = (millis: number) => z._default(text(parseDuration), millis);
const path = z.string().check(z.minLength(1));
const keyFile = text(parseKeyFile);
const absent = <T>(schema: z.ZodMiniType<T>) => z.optional(schema);

/** A preference list: at least one member, no member twice. */
function preference(what: string, members: readonly Numbered[], standard: readonly number[]) {
  const one = parsed(z.union([z.string(), z.int()]), parseNumbered(what, members));
  return z._default(
    z.array(one).check(
      z.minLength(1),
      z.refine((list) => new Set(list).size === list.length, { message: `each ${what} may stand only once` }),
    ),
    [...standard],
  );
}

/** Each is used where the kernel has it. */
const offloads = z._default(
  z.array(z.enum(OFFLOADS)).check(
    z.refine((list) => new Set(list).size === list.length, {
      message: "each offload may stand only once",
    }),
    z.refine((list) => !list.includes("uso") || list.includes("tso"), { message: '"uso" needs "tso"' }),
  ),
  [...OFFLOADS],
);

const encapsulation = z.enum(["udp", "none"]);

export const PEER_SCHEMA = z.strictObject({
  name: text(parseName),
  /** Absent: opportunistic mode (RFC 7401 4.1.8). */
  hit: absent(text(parseHitText)),
  locators: z._default(z.array(text(parseLocator)).check(z.maxLength(MAX_LOCATORS)), []),
  encapsulation: absent(encapsulation),
  identity: absent(z.string().check(z.minLength(1))),
  inbound_family: z._default(z.enum(["hit", "lsi"]), "hit"),
  /** The peer's name in DNS (RFC 8005). */
  dns: absent(text(parseDnsName)),
});

/** Patterns and prefixes of one list. */
const MAX_RULES = 64;
const rules = <T>(parser: Parser<T>) => z._default(z.array(text(parser)).check(z.maxLength(MAX_RULES)), []);
const between = (millis: number, low: string, high: string) =>
  z._default(text(parseDurationBetween(low, high)), millis);

const LOCATORS_SCHEMA = z.strictObject({
  advertise: z._default(z.array(text(parseLocator)).check(z.maxLength(MAX_LOCATORS)), []),
  interfaces: rules(parseInterfacePattern),
  exclude_interfaces: rules(parseInterfacePattern),
  addresses: rules(parseAddressPrefix),
  exclude_addresses: rules(parseAddressPrefix),
  metadata: z._default(z.enum(METADATA_SOURCES), "auto"),
  metadata_interval: between(60_000, "5s", "24h"),
  path_policy: z._default(z.enum(["preferred", "lowest-rtt"]), D.mobility.pathPolicy),
  dead_path_after: between(DEFAULT_LOCATORS.deadPathAfter, "100ms", "60s"),
  probe_interval: between(DEFAULT_LOCATORS.probeInterval, "500ms", "10m"),
  mtu_discovery: z._default(z.boolean(), DEFAULT_LOCATORS.discoverMtu),
  mtu_raise_after: between(DEFAULT_LOCATORS.pmtu.raise, "5s", "24h"),
});

const peers = z._default(z.array(PEER_SCHEMA).check(z.maxLength(MAX_PEERS)), []);

export const PEERS_FILE_SCHEMA = z.strictObject({ peer: peers });

export const CONFIG_SCHEMA = z.strictObject({
  peers_dir: z._default(path, "peers.d"),
  identity: z.prefault(
    z.strictObject({
      key: absent(keyFile),
      extra: z._default(z.array(keyFile), []),
      dir: absent(path),
      default: absent(z.string().check(z.minLength(1))),
      /** On a machine that is not the one that the key was used on before. */
      on_new_instance: z._default(z.enum(ON_NEW_INSTANCE), "ask-peers"),
    }),
    {},
  ),
  network: z.prefault(
    z.strictObject({
      interface: z._default(text(parseInterface), "hip0"),
      port: z._default(integer(1, 65535), HIP_PORT),
      lsi_prefix: z.prefault(text(parseLsiPrefix), "198.18.0.0/15"),
      /** 0: from the path. */
      mtu: z._default(
        z.int().check(
          z.refine((mtu) => mtu === 0 || (mtu >= 1280 && mtu <= 65535), {
            message: "must be 1280 to 65535, or 0 for automatic",
          }),
        ),
        0,
      ),
      encapsulation: z._default(encapsulation, "udp"),
      /** 0: one per processor, at most 8. */
      workers: z._default(integer(0, 64), 0),
      /** What seals packets; "auto": the fastest that works here. */
      aead: z._default(z.enum(["auto", "builtin", "ipsec-mb", "openssl"]), "auto"),
      offloads,
      /** Whether TCP through the overlay asks for ECN. */
      ecn: z._default(z.boolean(), true),
      /** Microseconds. */
      busy_poll: z.prefault(text(parseBusyPoll), "0"),
      /** Of the whole process. A data thread that had more than its share loses its processor to whoever wakes up: with this it hardly has. */
      nice: z._default(integer(-20, 19), -12),
      /** "peers" beside another overlay on the same host. */
      hit_routes: z._default(z.enum(["prefix", "peers"]), "prefix"),
    }),
    {},
  ),
  locators: z.prefault(LOCATORS_SCHEMA, {}),
  control: z.prefault(
    z.strictObject({
      socket: z._default(path, "/run/hipd/hipd.sock"),
      group: absent(z.string().check(z.minLength(1))),
    }),
    {},
  ),
  inventory: z.prefault(
    z.strictObject({
      trusted: z._default(z.array(path).check(z.maxLength(MAX_RULES)), []),
      trusted_dir: z._default(path, "trusted.d"),
    }),
    {},
  ),
  dns: z.prefault(
    z.strictObject({
      listen: z.prefault(text(parseDnsListen), "auto"),
      domain: z.prefault(text(parseNamesDomain), "hip"),
      /** Absent: the machine's. */
      name: absent(text(parseName)),
      resolved: z._default(z.boolean(), true),
      hosts_file: z._default(z.boolean(), false),
      dns_peers: z._default(z.boolean(), false),
    }),
    {},
  ),
  metrics: z.prefault(
    z.strictObject({
      listen: z.prefault(text(parseListen), ""),
      /** Peers with series of their own. */
      peer_series: z._default(integer(0, MAX_PEERS), 1_000),
    }),
    {},
  ),
  log: z.prefault(
    z.strictObject({
      level: z._default(z.enum(["debug", "info", "warn", "error"]), "info"),
      format: z._default(z.enum(["auto", "json", "text"]), "auto"),
      flows: z._default(z.boolean(), false),
      /** One of so many flows. */
      flow_sample: z._default(integer(1, 1_000_000), 1),
    }),
    {},
  ),
  state: z.prefault(z.strictObject({ directory: z._default(path, "/var/lib/hipd") }), {}),
  protocol: z.prefault(
    z.strictObject({
      dh_groups: preference("Diffie-Hellman group", DH_GROUPS, D.dhGroups),
      hip_ciphers: preference("HIP cipher", HIP_CIPHERS, D.hipCiphers),
      esp_suites: preference("ESP suite", ESP_SUITE_NAMES, D.espSuites),
      encrypt_host_id: z._default(z.boolean(), D.encryptHostId),
      domain: z.prefault(text(parseDomain), ""),
      opportunistic: z._default(z.boolean(), D.opportunistic),
      rekey_with_dh: z._default(z.boolean(), D.rekeyWithDh),
      lsi_spi: z._default(z.boolean(), D.offerLsiSpi),
      max_associations: z._default(integer(1, 1_000_000), D.maxAssociations),
      max_jobs: z._default(integer(1, 10_000), D.maxJobs),
      /** Answers to I1s for one address, a second (RFC 7401 6.7). */
      r1_per_address: z._default(integer(1, 1_000_000), D.r1PerAddress),
      timers: z.prefault(
        z.strictObject({
          retransmit: duration(D.timers.retransmit),
          retransmit_max: duration(D.timers.retransmitMax),
          exchange_complete: duration(D.timers.exchangeComplete),
          unused_association_lifetime: duration(D.timers.unusedAssociationLifetime),
          maximum_segment_lifetime: duration(D.timers.maximumSegmentLifetime),
          failed_hold: duration(D.timers.failedHold),
          rekey_after: duration(D.timers.rekeyAfter),
          r1_offered: duration(D.timers.r1Offered),
          r1_remembered: duration(D.timers.r1Remembered),
        }),
        {},
      ),
      retries: z.prefault(
        z.strictObject({
          i1: z._default(integer(0, 20), D.retries.i1),
          i2: z._default(integer(0, 20), D.retries.i2),
          update: z._default(integer(0, 20), D.retries.update),
        }),
        {},
      ),
      puzzle: z.prefault(
        z.strictObject({
          idle_k: z._default(integer(0, 28), D.puzzle.idleK),
          /** Exchanges a second that an idle puzzle stands. */
          easy_rate: z._default(integer(1, 1_000_000), D.puzzle.easyRate),
          loaded_k: z._default(integer(0, 28), D.puzzle.loadedK),
          solve_k: z._default(integer(0, 32), D.puzzle.solveK),
          /** The Lifetime field: 2^(value-32) seconds (RFC 7401 5.2.4). */
          lifetime: z._default(integer(32, 48), D.puzzle.lifetime),
        }),
        {},
      ),
    }),
    {},
  ),
  peer: peers,
});

export type RawConfig = z.infer<typeof CONFIG_SCHEMA>;
export type RawPeer = z.infer<typeof PEER_SCHEMA>;

/** The keys that stand in the table at `path`, for "did you mean". */
export function keysAt(schema: unknown, path: readonly PropertyKey[]): readonly string[] {
  let at = unwrap(schema);
  for (const step of path) {
    if (at === undefined) return [];
    at = unwrap(typeof step === "number" ? at.def.element : at.def.shape?.[String(step)]);
  }
  return Object.keys(at?.def.shape ?? {});
}

interface SchemaNode {
  readonly def: {
    readonly shape?: Record<string, unknown>;
    readonly element?: unknown;
    readonly innerType?: unknown;
  };
}

function unwrap(schema: unknown): SchemaNode | undefined {
  let at = schema as SchemaNode | undefined;
  while (at?.def.innerType !== undefined) at = at.def.innerType as SchemaNode;
  return at;
}
