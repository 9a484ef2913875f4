/** `iptables-save` and `ip6tables-save` as filter tables, asked about one packet. */
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

const HOOKS: Readonly<Record<string, Hook>> = {
  PREROUTING: "prerouting",
  INPUT: "input",
  OUTPUT: "output",
  POSTROUTING: "postrouting",
};
const TARGETS: Readonly<Record<string, Action["do"] & ("accept" | "drop" | "return")>> = {
  ACCEPT: "accept",
  DROP: "drop",
  REJECT: "drop",
  RETURN: "return",
};
/** Targets that change or tell something, after which the packet goes on. */
const PASSING: ReadonlySet<string> = new Set([
  "LOG",
  "NFLOG",
  "MARK",
  "CONNMARK",
  "CT",
  "NOTRACK",
  "TCPMSS",
  "DSCP",
  "TOS",
  "TTL",
  "ECN",
  "AUDIT",
  "CHECKSUM",
  "CLASSIFY",
  "SET",
]);

/** `-A` lines beyond this are not read: somebody keeps a list of addresses there. */
const MAX_RULES = 50_000;

export function parseIptables(text: string, asked: Asked): readonly Table[] {
  const tables: { name: string; chains: Map<string, { rules: Rule[]; base: Chain["base"] }> }[] = [];
  let rules = 0;
  for (const line of text.split("\n")) {
    const table = tables.at(-1);
    if (line.startsWith("*")) tables.push({ name: line.slice(1).trim(), chains: new Map() });
    else if (table === undefined) continue;
    else if (line.startsWith(":")) {
      const [name = "", policy = "-"] = line.slice(1).split(" ");
      const hook = table.name === "nat" ? undefined : HOOKS[name];
      const base =
        hook === undefined
          ? undefined
          : { hook, policy: policy === "DROP" ? ("drop" as const) : ("accept" as const) };
      table.chains.set(name, { rules: [], base });
    } else if (line.startsWith("-A ") && rules++ < MAX_RULES) {
      const words = split(line);
      table.chains.get(words[1] ?? "")?.rules.push(parseRule(words.slice(2), line, asked));
    }
  }
  const program = asked.family === "ipv4" ? "iptables" : "ip6tables";
  return tables.map(({ name, chains }) => ({
    name: `${program} table ${name}`,
    ipv4: asked.family === "ipv4",
    ipv6: asked.family === "ipv6",
    chains: [...chains].map(([chain, { rules: list, base }]) => ({ name: chain, rules: list, base })),
  }));
}

/** Words, with "..." as one. */
function split(line: string): readonly string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map((match) => match[1] ?? (match[2] as string));
}

function parseRule(words: readonly string[], text: string, { hook, port }: Asked): Rule {
  const inbound = hook === "prerouting" || hook === "input";
  let matches: Fits = "yes";
  let action: Action = { do: "nothing" };
  let negated = false;
  const add = (one: Fits): void => {
    matches = both(matches, negated ? not(one) : one);
    negated = false;
  };
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const value = words[i + 1] ?? "";
    switch (word) {
      case "!":
        negated = true;
        continue;
      case "-p":
      case "--protocol":
        add(fits(["udp", "17", "all", "0"].includes(value)));
        break;
      case "--dport":
      case "--dports":
      case "--destination-port":
        add(inbound ? fits(ports(value, port)) : "maybe");
        break;
      case "--sport":
      case "--sports":
      case "--source-port":
        add(inbound ? "maybe" : fits(ports(value, port)));
        break;
      case "--ports":
        add(ports(value, port) ? "yes" : "maybe");
        break;
      case "--ctstate":
      case "--state":
        add(fits(value.split(",").includes("NEW")));
        break;
      case "-i":
      case "-o":
        // The first packet of a peer never comes along the loopback.
        add(value === "lo" ? "no" : "maybe");
        break;
      case "-j":
      case "-g":
        action = actionOf(word, value);
        break;
      case "-m":
      case "--match":
        if (
          [
            "limit",
            "hashlimit",
            "recent",
            "set",
            "connlimit",
            "statistic",
            "time",
            "owner",
            "mac",
            "geoip",
            "string",
            "u32",
            "bpf",
            "addrtype",
            "mark",
            "connmark",
          ].includes(value)
        )
          add("maybe");
        break;
      case "--comment":
      case "--reject-with":
      case "--log-prefix":
      case "--log-level":
        break;
      case "-s":
      case "-d":
      case "--source":
      case "--destination":
        add(/^(0\.0\.0\.0\/0|::\/0)$/.test(value) ? "yes" : "maybe");
        break;
      case "-f":
        add("no");
        continue;
      default:
        continue;
    }
    i++;
  }
  return { fits: matches, action, text };
}

function actionOf(word: string, target: string): Action {
  const known = TARGETS[target];
  if (known !== undefined) return { do: known };
  if (target === "NFQUEUE") return { do: "accept" };
  if (PASSING.has(target) || target === "") return { do: "nothing" };
  return { do: word === "-g" ? "goto" : "jump", chain: target };
}

/** `22,10500,10000:11000` */
function ports(text: string, port: number): boolean {
  return text.split(",").some((part) => {
    const [low = "", high = low] = part.split(":");
    return port >= Number(low || 0) && port <= Number(high || 65_535);
  });
}
