/** Whether this host's own packet filters let HIP through. What stands between the hosts, only a peer can tell. */
import type { Finding } from "../verdict.ts";
import type { DaemonFacts, FilterFacts, Known, MachineFacts, NetworkFacts, Plan } from "./facts.ts";
import { type Asked, type Blocking, blocking, type Hook, type Table } from "./filter.ts";
import { parseIptables } from "./iptables.ts";
import { parseNft } from "./nft.ts";
import { AS_ROOT, say } from "./say.ts";

/** IFF_LOOPBACK. */
const LOOPBACK = 0x8;
const FAMILIES = ["ipv4", "ipv6"] as const;
const HOOKS: readonly Hook[] = ["prerouting", "input", "output", "postrouting"];

interface Found extends Blocking {
  readonly family: (typeof FAMILIES)[number];
  readonly hook: Hook;
}

export function checkFirewall(
  filters: FilterFacts,
  daemon: DaemonFacts,
  { uid }: MachineFacts,
  plan: Plan,
  network: Known<NetworkFacts>,
): readonly Finding[] {
  const { ok, problem, warning, notChecked } = say("firewall");
  const port = daemon.answers.ok ? daemon.answers.value.status.self.port : plan.port;
  const { nft, iptables, ip6tables } = filters;
  if (!nft.ok && !iptables.ok && !ip6tables.ok) {
    const absent = [nft, iptables, ip6tables].every(
      (each) => !each.ok && /is not installed$/.test(each.error),
    );
    if (absent) return [notChecked("neither nft nor iptables-save is there to ask")];
    const text = uid === 0 ? nft.error : `packet filters can only be read with more rights: ${nft.error}`;
    return [uid === 0 ? notChecked(text) : notChecked(text, AS_ROOT)];
  }
  const found = familiesOf(network, plan).flatMap((family) =>
    HOOKS.flatMap((hook) => {
      const asked = { family, hook, port };
      return blocking(tablesOf(filters, asked), asked).map((one): Found => ({ ...one, family, hook }));
    }),
  );
  const left = !nft.ok && uid !== 0 ? [notChecked(`nftables: ${nft.error}`, AS_ROOT)] : [];
  if (found.length === 0) {
    const read = [...(nft.ok ? ["nftables"] : []), ...(iptables.ok || ip6tables.ok ? ["iptables"] : [])];
    return [ok(`no rule of ${read.join(" or ")} drops UDP ${port}`), ...left];
  }
  const findings = merged(found).map(({ text, certain, one, outward }) => {
    const direction = outward ? "from" : "to";
    if (certain) {
      const what = `new packets ${direction} UDP port ${port} are dropped by ${text}`;
      return problem(what, remedyOf(one, port, outward));
    }
    const what = `packets ${direction} UDP port ${port} may be blocked by ${text}, which drops some of them`;
    return warning(what, `look whether peers are meant; if so: ${remedyOf(one, port, outward)}`);
  });
  return [...findings, ...left];
}

/** A family that this host has no address of is no matter. */
function familiesOf(network: Known<NetworkFacts>, plan: Plan): readonly (typeof FAMILIES)[number][] {
  if (!network.ok) return FAMILIES;
  const { links, addresses } = network.value;
  const underlay = links
    .filter(({ name, flags }) => name !== plan.interface && (flags & LOOPBACK) === 0)
    .map(({ index }) => index);
  const has = { ipv4: false, ipv6: false };
  for (const { link, prefix } of addresses) {
    const [first = 0, second = 0] = prefix.bytes;
    const local = prefix.bytes.length === 16 && first === 0xfe && (second & 0xc0) === 0x80;
    if (underlay.includes(link) && !local) has[prefix.bytes.length === 4 ? "ipv4" : "ipv6"] = true;
  }
  const present = FAMILIES.filter((family) => has[family]);
  return present.length === 0 ? FAMILIES : present;
}

/** Rules of iptables that nft cannot show are read from iptables-save, where that is. */
function tablesOf({ nft, iptables, ip6tables }: FilterFacts, asked: Asked): readonly Table[] {
  const saved = asked.family === "ipv4" ? iptables : ip6tables;
  const ruleset = nft.ok ? parseNft(nft.value, asked) : undefined;
  const others = saved.ok ? parseIptables(saved.value, asked) : [];
  const seen = others.length > 0 ? new Set(ruleset?.foreign) : new Set<string>();
  return [...(ruleset?.tables ?? []).filter(({ name }) => !seen.has(name)), ...others];
}

interface Merged {
  readonly text: string;
  readonly certain: boolean;
  readonly one: Found;
  readonly outward: boolean;
}

/** What drops both families alike is told once. */
function merged(found: readonly Found[]): readonly Merged[] {
  const groups = new Map<string, Found[]>();
  for (const one of found) {
    const outward = one.hook === "output" || one.hook === "postrouting";
    const key = `${one.table} ${one.chain} ${one.by} ${one.certain} ${outward}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [one]);
    else group.push(one);
  }
  return [...groups.values()].map((group) => {
    const [one] = group as [Found];
    const only =
      new Set(group.map(({ family }) => family)).size > 1 || !/inet/.test(one.table)
        ? ""
        : ` (${one.family === "ipv4" ? "IPv4" : "IPv6"} only)`;
    return {
      text: `${one.table}, chain ${one.chain}, ${one.by}${only}`,
      certain: one.certain,
      one,
      outward: one.hook === "output" || one.hook === "postrouting",
    };
  });
}

function remedyOf({ table, chain, family }: Found, port: number, outward: boolean): string {
  if (/firewalld/.test(table))
    return `firewall-cmd --permanent --add-port=${port}/udp; firewall-cmd --reload`;
  if (/^ufw/.test(chain)) return `ufw allow ${outward ? "out " : ""}${port}/udp`;
  const match = outward ? "sport" : "dport";
  if (table.startsWith("table ")) {
    return `nft insert rule ${table.slice("table ".length)} ${chain} udp ${match} ${port} accept`;
  }
  const name = table.replace(/^ip6?tables table /, "");
  const in4 = `${family === "ipv4" ? "iptables" : "ip6tables"}${name === "filter" ? "" : ` -t ${name}`}`;
  return `${in4} -I ${chain} -p udp --${match} ${port} -j ACCEPT`;
}
