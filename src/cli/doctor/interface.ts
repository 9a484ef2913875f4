/** The overlay's interface, the routes that guard it, prefixes that others use, and our UDP port. */
import { formatIp, formatPrefix, HIT_PREFIX, type Prefix, parsePrefix } from "../../core/ip.ts";
import { guards, refuseOverlaps } from "../../runtime/network.ts";
import type { Finding } from "../verdict.ts";
import type {
  BoundSocket,
  DaemonFacts,
  FilterFacts,
  HipdProcess,
  Known,
  MachineFacts,
  NetworkFacts,
  Plan,
} from "./facts.ts";
import { setHas } from "./nft.ts";
import { AS_ROOT, say, some, unitName } from "./say.ts";

/** IFF_UP. */
const UP = 0x1;

export function checkInterface(
  network: Known<NetworkFacts>,
  daemon: DaemonFacts,
  plan: Plan,
): readonly Finding[] {
  const { ok, problem, notChecked } = say("interface");
  const { answers } = daemon;
  if (!network.ok) return [notChecked(network.error)];
  if (!answers.ok) return [notChecked("hipd does not answer, so nobody needs it now")];
  const { self } = answers.value.status;
  const { links, addresses } = network.value;
  const link = links.find(({ name }) => name === self.interface);
  const restart = `systemctl restart ${unitName(plan.file)}`;
  if (link === undefined) {
    const elsewhere = elsewhereOnly(daemon);
    const text = `there is no interface ${self.interface} here`;
    if (elsewhere === undefined) return [problem(`${text}: somebody removed it`, restart)];
    const remedy = `nsenter --net --target ${elsewhere.pid} hipctl doctor`;
    return [notChecked(`${text}: hipd runs in another network namespace`, remedy)];
  }
  if ((link.flags & UP) === 0) {
    return [
      problem(
        `${self.interface} is down`,
        `ip link set ${self.interface} up; routes are lost with it: ${restart}`,
      ),
    ];
  }
  const has = new Set(
    addresses.filter((row) => row.link === link.index).map(({ prefix }) => formatIp(prefix.bytes)),
  );
  const wanted = [...self.identities.map(({ hit }) => hit), self.lsi];
  const missing = wanted.filter((address) => !has.has(address));
  if (missing.length > 0) {
    return [problem(`${self.interface} lacks ${some(missing)}: somebody removed it`, restart)];
  }
  const unrouted = unroutedPrefixes(network.value, link.index, plan);
  if (unrouted.length > 0) {
    return [problem(`no route to ${unrouted.join(" and ")} through ${self.interface}`, restart)];
  }
  return [ok(`${self.interface} is up with ${some(wanted)}, MTU ${link.mtu}`)];
}

/** A hipd that answers us, but from another network namespace. */
function elsewhereOnly({ answers, processes }: DaemonFacts): HipdProcess | undefined {
  return !answers.ok || processes.some(({ here }) => here) ? undefined : processes[0];
}

function guardUnit({ file }: Plan): string {
  return unitName(file).replace(/^hipd/, "hipd-guard");
}

function prefixesOf(plan: Plan): readonly Prefix[] {
  const lsi = parsePrefix(plan.lsiPrefix);
  return lsi.ok ? [HIT_PREFIX, lsi.value] : [HIT_PREFIX];
}

function unroutedPrefixes({ routes }: NetworkFacts, link: number, plan: Plan): readonly string[] {
  const through = routes
    .filter((row) => row.link === link)
    .map(({ destination }) => formatPrefix(destination));
  return prefixesOf(plan)
    .filter((prefix) => prefix !== HIT_PREFIX || plan.hitRoutes === "prefix")
    .map(formatPrefix)
    .filter((prefix) => !through.includes(prefix));
}

/** The `unreachable` routes that keep overlay traffic from leaving in the clear when there is no hipd. */
export function checkGuard(
  network: Known<NetworkFacts>,
  daemon: DaemonFacts,
  plan: Plan,
): readonly Finding[] {
  const { ok, problem, warning, notChecked } = say("guard");
  if (!network.ok) return [notChecked(network.error)];
  const there = network.value.links.some(({ name }) => name === plan.interface);
  if (!there && elsewhereOnly(daemon) !== undefined)
    return [notChecked("hipd runs in another network namespace")];
  const missing = prefixesOf(plan)
    .filter((prefix) => !guards(prefix, network.value.routes))
    .map(formatPrefix);
  if (missing.length === 0)
    return [ok("the routes that keep overlay traffic from leaving in the clear are there")];
  const text = `no unreachable route behind ${missing.join(" and ")}`;
  const remedy = `hipd --guard --config ${plan.file}; at every start: systemctl enable ${guardUnit(plan)}`;
  return daemon.answers.ok
    ? [problem(`${text}: without hipd, overlay traffic would leave in the clear`, remedy)]
    : [warning(`${text}: overlay traffic may leave in the clear until hipd runs`, remedy)];
}

/** The rules that keep out what comes to overlay addresses beside the overlay: see src/runtime/ingress.ts. */
export function checkDoor(filters: FilterFacts, daemon: DaemonFacts, plan: Plan): readonly Finding[] {
  const { ok, problem, notChecked } = say("door");
  if (!daemon.answers.ok) return [notChecked("hipd does not run")];
  if (elsewhereOnly(daemon) !== undefined) return [notChecked("hipd runs in another network namespace")];
  const shut = filters.nft.ok && setHas(filters.nft.value, "inet hipd interfaces", plan.interface);
  if (shut) return [ok("packets that come to overlay addresses beside the overlay are kept out")];
  if (filters.nft.ok || /ENOENT|not found|missing|installed/.test(filters.nft.error))
    return [
      problem(
        "packets from any interface reach overlay addresses, in any peer's name: the table inet hipd of nftables is missing",
        `apt-get install nftables; hipd --guard --config ${plan.file}`,
      ),
    ];
  return [notChecked(filters.nft.error)];
}

/** As hipd itself refuses them at its start. */
export function checkOverlaps(network: Known<NetworkFacts>, plan: Plan): readonly Finding[] {
  const { ok, problem, notChecked } = say("overlaps");
  if (!network.ok) return [notChecked(network.error)];
  const lsiPrefix = parsePrefix(plan.lsiPrefix);
  if (!lsiPrefix.ok) return [notChecked(lsiPrefix.error)];
  const { links, addresses, routes } = network.value;
  try {
    refuseOverlaps(
      { interface: plan.interface, lsiPrefix: lsiPrefix.value, hitRoutes: plan.hitRoutes },
      links,
      addresses,
      routes,
    );
  } catch (error) {
    const text = (error as Error).message.replace(/; choose another lsi_prefix$/, "");
    const hit = text.startsWith("the HIT prefix");
    const remedy = hit
      ? "remove it: these addresses belong to host identities alone (RFC 7343)"
      : 'choose another [network] lsi_prefix, such as "100.64.0.0/16", or remove the other route or address';
    return [problem(`${text}: hipd does not start with that, and packets may go to the wrong place`, remedy)];
  }
  return [ok(`nothing else uses ${plan.lsiPrefix} or the HIT prefix`)];
}

export function checkPort(
  sockets: readonly BoundSocket[],
  daemon: DaemonFacts,
  { uid }: MachineFacts,
  plan: Plan,
): readonly Finding[] {
  const { ok, problem, notChecked } = say("port");
  const port = daemon.answers.ok ? daemon.answers.value.status.self.port : plan.port;
  const ours = new Set(daemon.processes.map(({ pid }) => pid));
  const foreign = sockets.filter(({ owner }) => owner !== undefined && !ours.has(owner.pid));
  const unknown = sockets.filter(({ owner }) => owner === undefined);
  const [thief] = foreign;
  if (thief?.owner !== undefined) {
    const { pid, name } = thief.owner;
    const text = `UDP port ${port} is taken by ${name} (process ${pid}) on ${thief.address}`;
    return [
      problem(text, `stop it, or choose another [network] port here and in the locators that peers have`),
    ];
  }
  if (!daemon.answers.ok) {
    if (sockets.length === 0) return [ok(`UDP port ${port} is free`)];
    if (unknown.length > 0)
      return [notChecked(`UDP port ${port} is taken; by whom only root may see`, AS_ROOT)];
    return [ok(`UDP port ${port} is held by a hipd that does not answer`)];
  }
  if (sockets.length === 0) {
    const elsewhere = !daemon.processes.some(({ here }) => here);
    if (elsewhere) return [notChecked("hipd runs in another network namespace")];
    return [problem(`nobody listens on UDP port ${port}`, `systemctl restart ${unitName(plan.file)}`)];
  }
  const where = some([...new Set(sockets.map(({ address }) => address))]);
  if (unknown.length > 0 && uid !== 0)
    return [ok(`UDP port ${port} is bound on ${where}; by whom only root may see`)];
  return [ok(`UDP port ${port} is bound by hipd on ${where}`)];
}
