/** `nft -j list ruleset` (libnftables-json(5)) as filter tables, asked about one packet. */
import {
  type Action,
  type Asked,
  both,
  type Chain,
  type Fits,
  fits,
  type Hook,
  not,
  type Rule,
  type Table,
} from "./filter.ts";

type Fields = Readonly<Record<string, unknown>>;

const HOOKS: ReadonlySet<string> = new Set(["prerouting", "input", "output", "postrouting"]);
const UDP = 17;
const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: UDP,
  udplite: 136,
  esp: 50,
  ah: 51,
  dccp: 33,
  sctp: 132,
  icmpv6: 58,
  "ipv6-icmp": 58,
  hip: 139,
};

/** Tables with rules that only iptables can read (`xt`) are left to `iptables-save`: `foreign` names them. */
export interface NftRuleset {
  readonly tables: readonly Table[];
  readonly foreign: readonly string[];
}

/** Whether a set, named by family, table and name, has this element. */
export function setHas(document: unknown, name: string, element: string): boolean {
  const list = field(document, "nftables");
  if (!Array.isArray(list)) return false;
  return list.some((entry) => {
    const set = field(entry, "set");
    const elements = field(set, "elem");
    const full = ["family", "table", "name"].map((key) => field(set, key)).join(" ");
    return full === name && Array.isArray(elements) && elements.includes(element);
  });
}

/** Undefined: it is not what nft prints. */
export function parseNft(document: unknown, asked: Asked): NftRuleset | undefined {
  const list = field(document, "nftables");
  if (!Array.isArray(list)) return undefined;
  const of = (kind: string): readonly Fields[] =>
    list.map((entry) => field(entry, kind)).filter((each): each is Fields => isFields(each));
  const sets = new Map<string, unknown>();
  for (const kind of ["set", "map"]) {
    for (const set of of(kind)) sets.set(`${set["family"]} ${set["table"]} ${set["name"]}`, set["elem"]);
  }
  const tables: Table[] = [];
  const foreign: string[] = [];
  for (const table of of("table")) {
    const family = String(table["family"]);
    const name = String(table["name"]);
    if (!["ip", "ip6", "inet"].includes(family)) continue;
    // Our own: it is about overlay addresses only.
    if (family === "inet" && name === "hipd") continue;
    const mine = (each: Fields): boolean => each["family"] === family && each["table"] === name;
    const title = `table ${family} ${name}`;
    const named = (set: string): unknown => sets.get(`${family} ${name} ${set}`);
    const rules = of("rule").filter(mine);
    if (rules.some(({ expr }) => Array.isArray(expr) && expr.some((each) => field(each, "xt") !== undefined)))
      foreign.push(title);
    tables.push({
      name: title,
      ipv4: family !== "ip6",
      ipv6: family !== "ip",
      chains: of("chain")
        .filter(mine)
        .map((chain): Chain => {
          const hook = String(chain["hook"]);
          const base = HOOKS.has(hook) && chain["type"] !== "nat";
          return {
            name: String(chain["name"]),
            base: base
              ? { hook: hook as Hook, policy: chain["policy"] === "drop" ? "drop" : "accept" }
              : undefined,
            rules: rules
              .filter((rule) => rule["chain"] === chain["name"])
              .map((rule, i) => parseRule(rule, i + 1, asked, named)),
          };
        }),
    });
  }
  return { tables, foreign };
}

function parseRule(rule: Fields, number: number, asked: Asked, named: (set: string) => unknown): Rule {
  let matches: Fits = "yes";
  let action: Action = { do: "nothing" };
  const expressions = Array.isArray(rule["expr"]) ? rule["expr"] : [];
  for (const expression of expressions) {
    if (!isFields(expression)) {
      matches = both(matches, "maybe");
      continue;
    }
    const [kind = "", value] = Object.entries(expression)[0] ?? [];
    if (kind === "match") matches = both(matches, matchFits(value, asked, named));
    else if (kind === "vmap") {
      const [verdict, how] = mapVerdict(value, asked, named);
      action = verdict;
      matches = both(matches, how);
    } else action = verdictOf(kind, value) ?? action;
    // A limit, a lookup in a set that changes, or what is new to us: it may apply or not.
    if (["limit", "ct count", "connlimit", "quota", "xt", "fib", "socket"].includes(kind))
      matches = both(matches, "maybe");
  }
  const comment = typeof rule["comment"] === "string" ? ` "${rule["comment"]}"` : "";
  return { fits: matches, action, text: `rule ${number}${comment} (handle ${rule["handle"]})` };
}

function verdictOf(kind: string, value: unknown): Action | undefined {
  switch (kind) {
    case "accept":
      return { do: "accept" };
    case "drop":
    case "reject":
      return { do: "drop" };
    // What a program in user space decides is not known; those that are made for it mostly accept.
    case "queue":
      return { do: "accept" };
    case "return":
      return { do: "return" };
    case "jump":
    case "goto":
      return { do: kind, chain: String(field(value, "target")) };
    default:
      return undefined;
  }
}

/** A verdict map: the entry of our packet, if its key is known. */
function mapVerdict(value: unknown, asked: Asked, named: (set: string) => unknown): readonly [Action, Fits] {
  const data = field(value, "data");
  const elements = typeof data === "string" ? named(data.replace(/^@/, "")) : field(data, "set");
  const known = factOf(field(value, "key"), asked);
  let maybe: Action | undefined;
  for (const entry of Array.isArray(elements) ? elements : []) {
    if (!Array.isArray(entry)) continue;
    const [kind = "", target] = Object.entries(isFields(entry[1]) ? entry[1] : {})[0] ?? [];
    const verdict = verdictOf(kind, target) ?? { do: "nothing" as const };
    if (known === undefined) {
      if (maybe === undefined || verdict.do === "drop") maybe = verdict;
      continue;
    }
    const one = inside(known, entry[0], named);
    if (one === "yes") return [verdict, "yes"];
    if (one === "maybe") maybe = verdict;
  }
  return maybe === undefined ? [{ do: "nothing" }, "no"] : [maybe, "maybe"];
}

/** Values that a field of our packet may be compared with. */
type Value = readonly (string | number)[];

function matchFits(value: unknown, asked: Asked, named: (set: string) => unknown): Fits {
  const device = field(field(field(value, "left"), "meta"), "key");
  if (["iif", "iifname", "oif", "oifname"].includes(String(device))) {
    // The first packet of a peer never comes along the loopback.
    const loopback = field(value, "right") === "lo";
    return loopback ? fits(field(value, "op") === "!=") : "maybe";
  }
  const known = factOf(field(value, "left"), asked);
  if (known === undefined) return "maybe";
  // nft compares fields of a protocol only in packets that have it.
  if (known === "absent") return "no";
  const right = field(value, "right");
  const op = String(field(value, "op") ?? "==");
  const [number] = known.filter((each) => typeof each === "number");
  if (op === "<" || op === ">" || op === "<=" || op === ">=") {
    if (typeof number !== "number" || typeof right !== "number") return "maybe";
    return fits(
      op === "<"
        ? number < right
        : op === ">"
          ? number > right
          : op === "<="
            ? number <= right
            : number >= right,
    );
  }
  const equal = inside(known, right, named);
  return op === "!=" ? not(equal) : equal;
}

/** What is known of a field of our packet. "absent": it has none; undefined: it may be anything. */
function factOf(left: unknown, { family, hook, port }: Asked): Value | "absent" | undefined {
  const inbound = hook === "prerouting" || hook === "input";
  const payload = field(left, "payload");
  if (payload !== undefined) {
    const protocol = String(field(payload, "protocol"));
    const name = String(field(payload, "field"));
    if (protocol === "udp" || protocol === "th") {
      if (name === "dport") return inbound ? [port] : undefined;
      if (name === "sport") return inbound ? undefined : [port];
      return undefined;
    }
    if (protocol === "ip") {
      if (family !== "ipv4") return "absent";
      return name === "protocol" ? ["udp", UDP] : name === "version" ? [4] : undefined;
    }
    if (protocol === "ip6") {
      if (family !== "ipv6") return "absent";
      return name === "nexthdr" ? ["udp", UDP] : name === "version" ? [6] : undefined;
    }
    return protocol in PROTOCOLS ? "absent" : undefined;
  }
  const meta = field(field(left, "meta"), "key");
  if (meta === "l4proto") return ["udp", UDP];
  if (meta === "nfproto") return family === "ipv4" ? ["ipv4", 2] : ["ipv6", 10];
  if (meta === "protocol") return family === "ipv4" ? ["ip", 0x0800] : ["ip6", 0x86dd];
  // The first packet of a conversation.
  if (field(field(left, "ct"), "key") === "state") return ["new"];
  // What is masked ("ct state & (established | related) == ...") is a list of flags.
  const masked = field(left, "&");
  if (Array.isArray(masked) && field(field(masked[0], "ct"), "key") === "state") return undefined;
  return undefined;
}

/** Whether one of our values stands on the right side: a value, a range, a list, a set. */
function inside(known: Value | "absent", right: unknown, named: (set: string) => unknown): Fits {
  if (known === "absent") return "no";
  if (typeof right === "string" && right.startsWith("@")) {
    const elements = named(right.slice(1));
    return Array.isArray(elements) ? inside(known, elements, named) : "no";
  }
  if (typeof right === "string" || typeof right === "number") {
    const number = typeof right === "string" ? PROTOCOLS[right] : undefined;
    return fits(known.includes(right) || (number !== undefined && known.includes(number)));
  }
  if (Array.isArray(right)) return anyOf(right.map((each) => inside(known, each, named)));
  const set = field(right, "set");
  if (Array.isArray(set)) return anyOf(set.map((each) => inside(known, each, named)));
  const elem = field(field(right, "elem"), "val");
  if (elem !== undefined) return inside(known, elem, named);
  const range = field(right, "range");
  if (Array.isArray(range) && typeof range[0] === "number" && typeof range[1] === "number") {
    const [low, high] = range as [number, number];
    return fits(known.some((each) => typeof each === "number" && each >= low && each <= high));
  }
  if (field(right, "prefix") !== undefined) return "maybe";
  return "maybe";
}

function anyOf(list: readonly Fits[]): Fits {
  if (list.includes("yes")) return "yes";
  return list.includes("maybe") ? "maybe" : "no";
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function field(value: unknown, name: string): unknown {
  return isFields(value) ? value[name] : undefined;
}
