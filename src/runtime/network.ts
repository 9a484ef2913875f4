/** The interface hip0, its addresses and routes, and the native data plane behind it. What they are is decided here; rtnetlink in native/ makes them so. */
import { availableParallelism } from "node:os";
import { equal, toHex } from "../core/bytes.ts";
import { contains, formatPrefix, HIT_PREFIX, hitBytes, overlaps, type Prefix, parseIp } from "../core/ip.ts";
import { err, type Hit, ok, type Result } from "../core/types.ts";
import { addon } from "./early.ts";
import { keepOut, keepOutNow, letIn } from "./ingress.ts";
import { NativePlane, type NativePlaneOptions, type ResumedOptions } from "./native.ts";
import { handoffAddon } from "./native-handoff.ts";
import { rows } from "./native-records.ts";
import { serviceAddon } from "./native-service.ts";
import type { Network, NetworkError, NetworkOptions, NetworkSystem, PeerSource } from "./network-port.ts";

export interface LinkRow {
  readonly index: number;
  readonly name: string;
  /** IFF_* */
  readonly flags: number;
  readonly mtu: number;
}
export interface AddressRow {
  readonly link: number;
  /** The address itself, with host bits, and the length of its network. */
  readonly prefix: Prefix;
}
export interface RouteRow {
  readonly destination: Prefix;
  readonly type: number;
  readonly table: number;
  /** 0 for none. */
  readonly link: number;
  readonly metric: number;
  readonly mtu: number;
}

/** rtnetlink's numbers. */
const UNICAST = 1;
const UNREACHABLE = 7;
const MAIN_TABLE = 254;
/** The metric that loses against every other route. It also marks our `unreachable` routes. */
const WORST_METRIC = 0xffff_ffff;
/** BEET rebuilds an IPv4 packet's 20-byte header as IPv6's 40 bytes, neither of which is sent: IPv4 may be 20 bytes shorter. */
const LSI_SHORTER = 20;
/** A prefix this short is a default route in halves or "the whole Internet" (2000::/3), not a claim on the overlay's addresses. */
const DEFAULT_LIKE = { 4: 1, 16: 3 } as const;
const NOTHING = new Uint8Array(0);

/** What the kernel's TCP takes from a route. */
interface RouteMetrics {
  readonly mtu: number;
  /** Asks for ECN. */
  readonly ecn: boolean;
}
const NO_METRICS: RouteMetrics = { mtu: 0, ecn: false };

/** IFF_UP, IFF_LOOPBACK, IFF_POINTOPOINT. */
const LINK_UP = 0x1;
const LINK_LOOPBACK = 0x8;
const LINK_POINT_TO_POINT = 0x10;
/** What BEET over IPv4 and UDP adds to an IPv6 packet between HITs with AES-GCM-16: 1500 carries 1478. */
const OVERHEAD = 22;
const WHOLE_HIT = 128;
/** Limits of the interface's MTU: IPv6's minimum, and what the data plane's buffers hold. */
const MTU_LEAST = 1280;
const MTU_MOST = 9216;

export const NATIVE_NETWORK: NetworkSystem = {
  open: (options) => attempt(() => open(options)),
  guard: (options) =>
    attempt(() => {
      guard(options.lsiPrefix);
      const problem = keepOutNow(options);
      if (problem !== undefined) process.stderr.write(`hipd: ${problem}\n`);
      return undefined;
    }),
  teardown: (options) => attempt(() => tearDown(options.interface, options.lsiPrefix)),
  trimMemory: () => void addon().trimMemory(),
  misfit: (options) =>
    options.inherited instanceof NativePlane ? misfit(options.inherited, planeOptions(options)) : undefined,
  service: {
    notify: (socket, message, fds) => serviceAddon().notify(socket, message, fds),
    nameProcess: (name) => serviceAddon().nameProcess(name),
    dropPrivileges: (keep) => serviceAddon().dropPrivileges(keep),
    makeSealed: (name, bytes) => serviceAddon().makeSealed(name, bytes),
    makeTicket: () => serviceAddon().makeTicket(),
    closeFd: (fd) => serviceAddon().closeFd(fd),
    exitNow: (status) => serviceAddon().exitNow(status),
  },
  carriers: {
    connectTo: (path, millis) => handoffAddon().connectTo(path, millis),
    sendMessage: (fd, bytes, fds, millis) => handoffAddon().sendMessage(fd, bytes, fds, millis),
    receiveMessage: (fd, millis) => handoffAddon().receiveMessage(fd, millis),
    closeFd: (fd) => serviceAddon().closeFd(fd),
  },
};

function planeOptions(options: NetworkOptions): NativePlaneOptions {
  return {
    interface: options.interface,
    mtu: interfaceMtu(options.mtu, options.interface, links()),
    port: options.port,
    raw: options.plainIp,
    workers: workerCount(options.workers, availableParallelism()),
    aead: options.aead ?? "auto",
    ...(options.offloads === undefined ? {} : { offloads: options.offloads }),
    ...(options.busyPollMicros === undefined ? {} : { busyPollMicros: options.busyPollMicros }),
    ...(options.silentMillis === undefined ? {} : { silentMillis: options.silentMillis }),
    ownLsi: options.lsi,
    lsiPrefix: options.lsiPrefix,
    log: options.log,
  };
}

/** A changed setting of the data plane, by name: a running one cannot take it. */
function misfit(plane: NativePlane, wanted: NativePlaneOptions): string | undefined {
  const running = plane.resumedOptions();
  if (running === undefined) return "the data plane has ended";
  const text = (value: unknown): string => JSON.stringify(value instanceof Uint8Array ? toHex(value) : value);
  for (const [name, value] of Object.entries(running)) {
    const asked = wanted[name as keyof ResumedOptions];
    if (asked === undefined) continue;
    const same =
      name === "lsiPrefix"
        ? formatPrefix(value as Prefix) === formatPrefix(asked as Prefix)
        : text(value) === text(asked);
    if (!same) return `the setting of the data plane "${name}" changed`;
  }
  return undefined;
}

function open(options: NetworkOptions): Network {
  // Before anything is touched.
  refuseOverlaps(options, links(), addresses(), routes());
  const wanted = planeOptions(options);
  const { mtu } = wanted;
  const { inherited } = options;
  const plane = inherited instanceof NativePlane ? inherited : NativePlane.open(wanted);
  try {
    setUp(options, mtu, options.hits, options.preferred);
  } catch (error) {
    plane.close();
    throw error;
  }
  // The daemon is not worse off than before while this is done, and need not wait for it.
  keepOut(options, (problem) => problem !== undefined && options.log("warn", problem));
  return {
    plane,
    suspend: () => plane.suspend(),
    stalled: (millis) => plane.stalled(millis),
    flows: plane,
    setIdentities: (hits, preferred) => setUp(options, mtu, hits, preferred),
    setSources: (sources) => setSources(options.interface, { mtu, ecn: options.ecn ?? true }, sources),
  };
}

/**
 * Brings the interface up with its addresses and routes; what an earlier run with other identities left goes. Doing it again changes
 * only what is different. @throws Error in words for an administrator.
 */
function setUp(options: NetworkOptions, mtu: number, hits: readonly Hit[], preferred: Hit): void {
  const native = addon();
  // First what keeps packets in, then what lets them through.
  guard(options.lsiPrefix);
  native.setLink(options.interface, true, mtu);
  const link = links().find((one) => one.name === options.interface);
  if (link === undefined) throw new Error(`there is no interface ${options.interface}`);
  const lsi = parseIp(options.lsi) as Uint8Array;
  const wanted: Prefix[] = [...hits.map((hit) => whole(hitBytes(hit))), whole(lsi)];
  for (const one of wanted) native.changeAddress(true, options.interface, one.bytes, one.length);
  for (const { link: owner, prefix } of addresses()) {
    const kept = wanted.some((one) => formatPrefix(one) === formatPrefix(prefix));
    if (owner !== link.index || kept || !inOverlay(options.lsiPrefix, prefix.bytes)) continue;
    native.changeAddress(false, options.interface, prefix.bytes, prefix.length);
  }
  const ecn = options.ecn ?? true;
  if (options.hitRoutes === "peers") dropRoute(HIT_PREFIX, link.index);
  else addRoute(HIT_PREFIX, UNICAST, link.index, 0, { mtu, ecn }, hitBytes(preferred));
  addRoute(options.lsiPrefix, UNICAST, link.index, 0, { mtu: mtu - LSI_SHORTER, ecn }, lsi);
}

/** Gives each of these peers a route with its source address, and takes it from all others. @throws Error */
function setSources(interfaceName: string, metrics: RouteMetrics, sources: readonly PeerSource[]): void {
  const link = links().find((one) => one.name === interfaceName);
  if (link === undefined) throw new Error(`there is no interface ${interfaceName}`);
  const wanted = new Set<string>(sources.map(({ peer }) => peer));
  const own = addresses().filter((one) => one.link === link.index);
  for (const row of routes()) {
    const { bytes, length } = row.destination;
    const ours = row.link === link.index && row.table === MAIN_TABLE && row.type === UNICAST;
    if (!ours || length !== 128 || !contains(HIT_PREFIX, bytes)) continue;
    // The kernel's own route to an address of the interface is a host route too.
    if (wanted.has(toHex(bytes)) || own.some((one) => equal(one.prefix.bytes, bytes))) continue;
    addon().changeRoute(false, bytes, length, UNICAST, link.index, MAIN_TABLE, row.metric, 0, NOTHING, false);
  }
  for (const { peer, local } of sources) {
    addRoute(whole(hitBytes(peer)), UNICAST, link.index, 0, metrics, hitBytes(local));
  }
}

/** The routes that keep the overlay's addresses from leaving in the clear. They stay when the daemon is gone. */
function guard(lsiPrefix: Prefix): undefined {
  for (const prefix of [HIT_PREFIX, lsiPrefix]) addRoute(prefix, UNREACHABLE, 0, WORST_METRIC, NO_METRICS);
}

/** Whether one of these routes keeps what no better route takes from leaving. */
export function guards(prefix: Prefix, routeRows: readonly RouteRow[]): boolean {
  const wanted = formatPrefix(prefix);
  return routeRows.some(
    ({ destination, type, metric }) =>
      type === UNREACHABLE && metric === WORST_METRIC && formatPrefix(destination) === wanted,
  );
}

/** Removes the interface, and with it its routes, and the guarding routes. What is not there is no error. */
function tearDown(interfaceName: string, lsiPrefix: Prefix): undefined {
  const native = addon();
  native.deleteTun(interfaceName);
  letIn({ interface: interfaceName });
  // Another overlay of this host has its HITs in the same prefix.
  const shared = addresses().some((row) => contains(HIT_PREFIX, row.prefix.bytes));
  for (const { bytes, length } of shared ? [lsiPrefix] : [HIT_PREFIX, lsiPrefix]) {
    native.changeRoute(false, bytes, length, UNREACHABLE, 0, MAIN_TABLE, WORST_METRIC, 0, NOTHING, false);
  }
}

/** Runs what may throw; its Error becomes one that says of what kind it is. */
function attempt<T>(action: () => T): Result<T, NetworkError> {
  try {
    return ok(action());
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const kind = /CAP_NET/.test(message)
      ? "permission"
      : /overlaps| in use |another hipd/.test(message)
        ? "conflict"
        : "failed";
    return err({ kind, message });
  }
}

/** The data plane's threads: one for each two processors, since the kernel's half of the work needs the other. */
export function workerCount(wanted: number, processors: number): number {
  if (wanted > 0) return Math.min(wanted, 16);
  return Math.max(1, Math.min(8, Math.floor(processors / 2)));
}

/** The interface's MTU: as configured, else what the widest underlay link carries. Narrower paths are told to senders by ICMP. */
export function interfaceMtu(wanted: number, overlay: string, rows: readonly LinkRow[]): number {
  const widest = rows
    .filter((one) => (one.flags & LINK_UP) !== 0 && (one.flags & LINK_LOOPBACK) === 0 && one.name !== overlay)
    .reduce((most, one) => Math.max(most, one.mtu), 0);
  const mtu = wanted > 0 ? wanted : (widest === 0 ? 1500 : widest) - OVERHEAD;
  return Math.min(MTU_MOST, Math.max(MTU_LEAST, mtu));
}

/**
 * Refuses a prefix of the overlay that another interface also has an address in or a route to. Another overlay of this host may have
 * HITs of its own, its peers' routes, and one of the two the prefix.
 * @throws Error that names both.
 */
export function refuseOverlaps(
  plan: Pick<NetworkOptions, "interface" | "lsiPrefix" | "hitRoutes">,
  linkRows: readonly LinkRow[],
  addressRows: readonly AddressRow[],
  routeRows: readonly RouteRow[],
): void {
  const name = (index: number) => linkRows.find((one) => one.index === index)?.name ?? `#${index}`;
  for (const prefix of [HIT_PREFIX, plan.lsiPrefix]) {
    const ours = prefix === HIT_PREFIX ? "the HIT prefix" : "the LSI prefix";
    const beside = (link: number, { length }: Prefix): boolean =>
      prefix === HIT_PREFIX &&
      ((linkRows.find((one) => one.index === link)?.flags ?? 0) & LINK_POINT_TO_POINT) !== 0 &&
      (length === WHOLE_HIT || (length === HIT_PREFIX.length && plan.hitRoutes === "peers"));
    for (const row of addressRows) {
      if (name(row.link) === plan.interface || !contains(prefix, row.prefix.bytes)) continue;
      if (beside(row.link, row.prefix)) continue;
      throw new Error(
        `${ours} ${formatPrefix(prefix)} overlaps the address ${formatPrefix(row.prefix)} of ${name(row.link)}` +
          (prefix === HIT_PREFIX ? "" : "; choose another lsi_prefix"),
      );
    }
    for (const row of routeRows) {
      if (row.link !== 0 && name(row.link) === plan.interface) continue;
      if (row.type === UNREACHABLE && row.metric === WORST_METRIC) continue;
      if (isDefaultLike(row.destination) || !overlaps(prefix, row.destination)) continue;
      if (beside(row.link, row.destination)) continue;
      const where = row.link === 0 ? "" : ` of ${name(row.link)}`;
      throw new Error(
        `${ours} ${formatPrefix(prefix)} overlaps the route ${formatPrefix(row.destination)}${where}` +
          (prefix === HIT_PREFIX ? anotherOverlay(name(row.link)) : "; choose another lsi_prefix"),
      );
    }
  }
}

function anotherOverlay(link: string): string {
  return link.startsWith("hip") ? '; beside another overlay [network] hit_routes = "peers" is needed' : "";
}

export function links(): readonly LinkRow[] {
  return rows(addon().listLinks()).map(([index, name, flags, mtu]) => ({
    index: Number(index),
    name: name as string,
    flags: Number(flags),
    mtu: Number(mtu),
  }));
}

export function addresses(): readonly AddressRow[] {
  return rows(addon().listAddresses()).map(([link, address, length]) => ({
    link: Number(link),
    prefix: { bytes: parseIp(address as string) as Uint8Array, length: Number(length) },
  }));
}

export function routes(): readonly RouteRow[] {
  return rows(addon().listRoutes()).map(([destination, length, type, table, link, metric, mtu]) => ({
    destination: { bytes: parseIp(destination as string) as Uint8Array, length: Number(length) },
    type: Number(type),
    table: Number(table),
    link: Number(link),
    metric: Number(metric),
    mtu: Number(mtu),
  }));
}

/** Takes a route of this link away, where there is one. */
function dropRoute({ bytes, length }: Prefix, link: number): void {
  for (const row of routes()) {
    const same = row.link === link && row.table === MAIN_TABLE && row.type === UNICAST;
    if (!same || row.destination.length !== length || !equal(row.destination.bytes, bytes)) continue;
    addon().changeRoute(false, bytes, length, UNICAST, link, MAIN_TABLE, row.metric, 0, NOTHING, false);
  }
}

function whole(bytes: Uint8Array): Prefix {
  return { bytes, length: bytes.length * 8 };
}

function inOverlay(lsiPrefix: Prefix, address: Uint8Array): boolean {
  return contains(HIT_PREFIX, address) || contains(lsiPrefix, address);
}

function isDefaultLike(prefix: Prefix): boolean {
  return prefix.length <= (prefix.bytes.length === 4 ? DEFAULT_LIKE[4] : DEFAULT_LIKE[16]);
}

function addRoute(
  prefix: Prefix,
  type: number,
  link: number,
  metric: number,
  { mtu, ecn }: RouteMetrics,
  source: Uint8Array = NOTHING,
): void {
  addon().changeRoute(true, prefix.bytes, prefix.length, type, link, MAIN_TABLE, metric, mtu, source, ecn);
}
