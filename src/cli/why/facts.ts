/** What `hipctl why` looks at: everything is gathered first, then explained. */
import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import { canonicalIp, contains, isHit, parseIp, parseIpv4, parsePrefix } from "../../core/ip.ts";
import { err, ok, type Result } from "../../core/types.ts";
import type { PeerLocatorsView } from "../../overlay/locator-views.ts";
import type { SightingView } from "../../overlay/sightings.ts";
import type { ControlClient } from "../../runtime/control-client.ts";
import type { LocatorList } from "../commands/locator.ts";
import { orFail } from "../context.ts";
import type { AssociationDetails, PeerView, StatusView } from "../views.ts";
import { type Route, type RouteError, routeTo } from "./route.ts";
import { readSockets, type Service, type SocketRow } from "./sockets.ts";

/** What somebody asks about. */
export type Subject =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "hit" | "lsi" | "address"; readonly address: string };

export interface Facts {
  readonly argument: string;
  readonly subject: Subject;
  readonly service: Service | null;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly status: StatusView;
  readonly peer: PeerView | undefined;
  /** hipd's own words when there is no such peer. */
  readonly refusal: string | undefined;
  /** Other peers that are known at this address. */
  readonly others: readonly string[];
  readonly association: AssociationDetails | undefined;
  readonly locators: PeerLocatorsView | undefined;
  /** What the peer sees our packets come from; undefined: it does not say. */
  readonly seen: SightingView | undefined;
  /** To the HIT and to the LSI, in this order. */
  readonly routes: readonly RouteFact[];
  /** What the system's resolver says about NAME.hip. */
  readonly resolved: Result<readonly string[], string>;
  /** Addresses of the overlay's interface; undefined: it is not up. */
  readonly interfaceAddresses: readonly string[] | undefined;
  /** Undefined: not asked for, or they cannot be seen. */
  readonly sockets: readonly SocketRow[] | undefined;
}

export interface RouteFact {
  readonly what: "HIT" | "LSI";
  readonly address: string;
  readonly route: Result<Route, RouteError>;
}

const RESOLVE_MILLIS = 1_500;

/** What `argument` is: a HIT, an LSI, an address of the underlying network (perhaps with a port), else a name. */
export function subjectOf(argument: string, lsiPrefix: string): Subject {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(argument)?.[1];
  const bare = bracketed ?? (/^[0-9.]+:\d+$/.test(argument) ? argument.replace(/:\d+$/, "") : argument);
  const address = canonicalIp(bare);
  const bytes = address === undefined ? undefined : parseIp(address);
  if (address === undefined || bytes === undefined)
    return { kind: "name", name: argument.replace(/\.hip\.?$/, "") };
  if (isHit(bytes)) return { kind: "hit", address };
  const prefix = parsePrefix(lsiPrefix);
  const lsi = parseIpv4(address) !== undefined && prefix.ok && contains(prefix.value, bytes);
  return { kind: lsi ? "lsi" : "address", address };
}

/** The address of `192.0.2.1:10500` or `[2001:db8::1]:10500`. */
export function addressOf(endpoint: string): string {
  const inner = /^\[([^\]]+)\]/.exec(endpoint)?.[1];
  if (inner !== undefined) return inner;
  return parseIpv4(endpoint.replace(/:\d+$/, "")) === undefined ? endpoint : endpoint.replace(/:\d+$/, "");
}

/** Asks hipd and the kernel. @throws CommandFailure when hipd does not answer. */
export async function gatherFacts(
  client: ControlClient,
  argument: string,
  service: Service | null,
  now: number,
): Promise<Facts> {
  const status = orFail(await client.call<StatusView>("GetStatus", {}));
  const subject = subjectOf(argument, status.self.lsiPrefix);
  const found = await findPeer(client, subject, status);
  const { peer } = found;
  const named = peer === undefined ? undefined : { peer: peer.name };
  const [association, locators, whereabouts, routes, resolved] = await Promise.all([
    named === undefined ? undefined : client.call<AssociationDetails>("GetAssociation", named),
    named === undefined ? undefined : client.call<LocatorList>("ListLocators", named),
    client.call<{ readonly seen: readonly SightingView[] }>("GetWhereabouts", {}),
    routesTo(subject, peer),
    peer === undefined ? err("not asked") : resolve(`${peer.name}.hip`),
  ]);
  const path = peer?.path;
  return {
    argument,
    subject,
    service,
    now,
    status,
    ...found,
    association: association?.ok ? association.value : undefined,
    locators: locators?.ok ? locators.value.peers[0] : undefined,
    seen: whereabouts.ok
      ? whereabouts.value.seen.find((one) => one.peer === peer?.name && one.local === path?.local)
      : undefined,
    routes,
    resolved,
    interfaceAddresses: networkInterfaces()[status.self.interface]?.map(
      ({ address }) => canonicalIp(address) ?? address,
    ),
    sockets: service === null ? undefined : readSockets(service.protocol),
  };
}

type Found = Pick<Facts, "peer" | "refusal" | "others">;

async function findPeer(client: ControlClient, subject: Subject, status: StatusView): Promise<Found> {
  const nobody = { peer: undefined, refusal: undefined, others: [] };
  if (subject.kind !== "address") {
    const text = subject.kind === "name" ? subject.name : subject.address;
    const answer = await client.call<PeerView>("GetPeer", { peer: text });
    if (answer.ok) return { ...nobody, peer: answer.value };
    if (answer.error.code === "unreachable") orFail(answer);
    return { ...nobody, refusal: answer.error.message };
  }
  const { peers } = orFail(await client.call<LocatorList>("ListLocators", {}));
  const there = peersAt(subject.address, peers);
  const [first, ...others] = there;
  return {
    peer: status.peers.find(({ name }) => name === first),
    refusal: first === undefined ? `no peer is known to be at ${subject.address}` : undefined,
    others,
  };
}

/** Names of the peers that may be at an address; who is talked to there at the moment comes first. */
export function peersAt(address: string, peers: readonly PeerLocatorsView[]): readonly string[] {
  const there = peers.flatMap(({ name, locators }) => {
    const fitting = locators.filter((one) => addressOf(one.address) === address);
    return fitting.length === 0 ? [] : [{ name, inUse: fitting.some(({ inUse }) => inUse) }];
  });
  return there.sort((a, b) => Number(b.inUse) - Number(a.inUse)).map(({ name }) => name);
}

function routesTo(subject: Subject, peer: PeerView | undefined): Promise<readonly RouteFact[]> {
  const hit = peer?.hit ?? (subject.kind === "hit" ? subject.address : null);
  const lsi = peer?.lsi ?? (subject.kind === "lsi" ? subject.address : null);
  const wanted = [
    ...(hit === null ? [] : [{ what: "HIT" as const, address: hit }]),
    ...(lsi === null ? [] : [{ what: "LSI" as const, address: lsi }]),
  ];
  return Promise.all(wanted.map(async (one) => ({ ...one, route: await routeTo(one.address) })));
}

async function resolve(name: string): Promise<Result<readonly string[], string>> {
  const limit = new Promise<Result<readonly string[], string>>((done) =>
    setTimeout(() => done(err("no answer in time")), RESOLVE_MILLIS).unref(),
  );
  const asked = lookup(name, { all: true }).then(
    (all) => ok(all.map(({ address }) => canonicalIp(address) ?? address)),
    (error: NodeJS.ErrnoException) => err(error.code === "ENOTFOUND" ? "unknown" : String(error.code)),
  );
  return Promise.race([asked, limit]);
}
