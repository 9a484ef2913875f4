/** Packet filters as administrators write them, and whether the doctor sees what they do to HIP. */
import { describe, expect, test } from "vitest";
import { diagnose } from "../../src/cli/doctor/doctor.ts";
import type { FilterFacts } from "../../src/cli/doctor/facts.ts";
import type { Finding } from "../../src/cli/verdict.ts";
import { err, ok } from "../../src/core/types.ts";
import { HEALTHY, MACHINE, NETWORK, prefix } from "../support/doctor.ts";

const NONE = err("iptables-save is not installed");

/** IPv6, too. */
const DUAL = { ...NETWORK, addresses: [...NETWORK.addresses, { link: 2, prefix: prefix("2001:db8::1/64") }] };

function firewall(filters: Partial<FilterFacts>, uid = 0): readonly Finding[] {
  const facts = {
    ...HEALTHY,
    machine: { ...MACHINE, uid },
    network: ok(DUAL),
    filters: { nft: ok({ nftables: [] }), iptables: NONE, ip6tables: NONE, ...filters },
  };
  return diagnose(facts).filter(({ check }) => check === "firewall");
}

type Expr = Readonly<Record<string, unknown>>;
const match = (left: Expr, right: unknown, op = "=="): Expr => ({ match: { op, left, right } });
const payload = (protocol: string, field: string): Expr => ({ payload: { protocol, field } });
const meta = (key: string): Expr => ({ meta: { key } });
const dport = (right: unknown, op?: string): Expr => match(payload("udp", "dport"), right, op);
const sport = (right: unknown): Expr => match(payload("udp", "sport"), right);
const ESTABLISHED = match({ ct: { key: "state" } }, ["established", "related"], "in");
const LOOPBACK = match(meta("iifname"), "lo");
const [ACCEPT, DROP, RETURN]: Expr[] = [{ accept: null }, { drop: null }, { return: null }];
const accept = ACCEPT as Expr;
const drop = DROP as Expr;

interface Options {
  readonly policy?: "accept" | "drop";
  readonly hook?: string;
  readonly family?: string;
  readonly type?: string;
  readonly extra?: readonly Expr[];
  readonly table?: string;
  readonly chain?: string;
}

/** One base chain with these rules; `extra` stands beside it as it is. */
function nft(rules: readonly (readonly Expr[])[], options: Options = {}): FilterFacts["nft"] {
  const { policy = "drop", hook = "input", family = "inet", type = "filter", extra = [] } = options;
  const { table = "filter", chain = hook } = options;
  return ok({
    nftables: [
      { metainfo: { json_schema_version: 1 } },
      { table: { family, name: table } },
      { chain: { family, table, name: chain, type, hook, prio: 0, policy } },
      ...extra,
      ...rules.map((expr, i) => ({ rule: { family, table, chain, handle: 10 + i, expr } })),
    ],
  });
}
const rule = (chain: string, ...expr: readonly Expr[]): Expr => ({
  rule: { family: "inet", table: "filter", chain, handle: 99, expr },
});
const chain = (name: string): Expr => ({ chain: { family: "inet", table: "filter", name } });
const set = (name: string, elem: unknown): Expr => ({ set: { family: "inet", table: "filter", name, elem } });

/** The ruleset, and how it ends for HIP. */
const RULESETS: readonly (readonly [what: string, nft: FilterFacts["nft"], Finding["verdict"], RegExp])[] = [
  ["no rules", ok({ nftables: [] }), "ok", /no rule of nftables drops UDP 10500/],
  ["a policy that accepts", nft([], { policy: "accept" }), "ok", /no rule/],
  ["a policy that drops", nft([]), "problem", /dropped by table inet filter, chain input, policy drop$/],
  [
    "answers and loopback only",
    nft([
      [ESTABLISHED, accept],
      [LOOPBACK, accept],
    ]),
    "problem",
    /policy drop/,
  ],
  [
    "the port is let in",
    nft([
      [ESTABLISHED, accept],
      [dport(10500), accept],
    ]),
    "ok",
    /no rule/,
  ],
  ["the port is in a set", nft([[dport({ set: [22, 10500] }), accept]]), "ok", /no rule/],
  ["the port is in a range", nft([[dport({ range: [10000, 11000] }), accept]]), "ok", /no rule/],
  [
    "the port is in a named set",
    nft([[dport("@open"), accept]], { extra: [set("open", [22, { range: [10000, 11000] }])] }),
    "ok",
    /no rule/,
  ],
  [
    "another port is in a named set",
    nft([[dport("@open"), accept]], { extra: [set("open", [22])] }),
    "problem",
    /policy drop/,
  ],
  ["all UDP is let in", nft([[match(meta("l4proto"), "udp"), accept]]), "ok", /no rule/],
  [
    "all IPv4 UDP is let in",
    nft([[match(payload("ip", "protocol"), 17), accept]]),
    "problem",
    /policy drop \(IPv6 only\)/,
  ],
  ["TCP is let in", nft([[match(payload("tcp", "dport"), 10500), accept]]), "problem", /policy drop/],
  [
    "TCP but one port is let in",
    nft([[match(payload("tcp", "dport"), 22, "!="), accept]]),
    "problem",
    /policy drop/,
  ],
  ["all but one port is let in", nft([[dport(53, "!="), accept]]), "ok", /no rule/],
  [
    "friends are let in",
    nft([[match(payload("ip", "saddr"), "192.0.2.10"), dport(10500), accept]], { family: "ip" }),
    "warning",
    /may be blocked by table ip filter, chain input, policy drop/,
  ],
  ["one interface is let in", nft([[match(meta("iifname"), "eth0"), accept]]), "warning", /may be blocked/],
  ["so many are let in", nft([[dport(10500), { limit: { rate: 10 } }, accept]]), "warning", /may be blocked/],
  [
    "one rule drops it",
    nft([[dport(10500), { counter: {} }, drop]], { policy: "accept" }),
    "problem",
    /chain input, rule 1 \(handle 10\)$/,
  ],
  [
    "one rule rejects it",
    nft([[match(payload("th", "dport"), 10500), { reject: null }]], { policy: "accept" }),
    "problem",
    /rule 1/,
  ],
  [
    "one rule drops somebody's",
    nft([[match(payload("ip", "saddr"), "192.0.2.66"), drop]], { policy: "accept" }),
    "warning",
    /rule 1/,
  ],
  [
    "a verdict map lets it in",
    nft([
      [
        {
          vmap: {
            key: payload("udp", "dport"),
            data: {
              set: [
                [53, drop],
                [10500, accept],
              ],
            },
          },
        },
      ],
    ]),
    "ok",
    /no rule/,
  ],
  [
    "a named map drops it",
    nft([[{ vmap: { key: payload("udp", "dport"), data: "@m" } }]], {
      policy: "accept",
      extra: [{ map: { family: "inet", table: "filter", name: "m", elem: [[10500, drop]] } }],
    }),
    "problem",
    /rule 1/,
  ],
  [
    "states are sorted by a map",
    nft([
      [
        {
          vmap: {
            key: { ct: { key: "state" } },
            data: {
              set: [
                ["established", accept],
                ["invalid", drop],
              ],
            },
          },
        },
      ],
      [dport(10500), accept],
    ]),
    "ok",
    /no rule/,
  ],
  [
    "another chain lets it in",
    nft([[{ jump: { target: "open" } }]], { extra: [chain("open"), rule("open", dport(10500), accept)] }),
    "ok",
    /no rule/,
  ],
  [
    "another chain drops it",
    nft([[{ jump: { target: "shut" } }]], { policy: "accept", extra: [chain("shut"), rule("shut", drop)] }),
    "problem",
    /chain shut, rule 1/,
  ],
  [
    "another chain returns",
    nft([[{ jump: { target: "x" } }], [dport(10500), accept]], {
      extra: [chain("x"), rule("x", RETURN as Expr), rule("x", drop)],
    }),
    "ok",
    /no rule/,
  ],
  [
    "another chain is gone to",
    nft([[{ goto: { target: "x" } }], [dport(10500), accept]], { extra: [chain("x")] }),
    "problem",
    /policy drop/,
  ],
  ["chains that lead in a circle", nft([[{ jump: { target: "input" } }]]), "problem", /policy drop/],
  [
    "an unknown condition",
    nft([[match({ osf: { key: "name" } }, "Linux"), drop]], { policy: "accept" }),
    "warning",
    /may be blocked/,
  ],
  [
    "a raw rule before all",
    nft([[dport(10500), drop]], { policy: "accept", hook: "prerouting" }),
    "problem",
    /chain prerouting/,
  ],
  [
    "nothing leaves",
    nft([], { hook: "output" }),
    "problem",
    /from UDP port 10500 are dropped by .*chain output/,
  ],
  ["our port may leave", nft([[sport(10500), accept]], { hook: "output" }), "ok", /no rule/],
  ["to somebody's port only", nft([[dport(10500), accept]], { hook: "output" }), "warning", /may be blocked/],
  ["forwarding is off", nft([], { hook: "forward" }), "ok", /no rule/],
  [
    "address translation",
    nft([[dport(10500), { dnat: { addr: "192.0.2.7" } }]], {
      hook: "prerouting",
      type: "nat",
      policy: "accept",
    }),
    "ok",
    /no rule/,
  ],
  ["IPv4 only", nft([], { family: "ip" }), "problem", /table ip filter/],
  ["a bridge", nft([], { family: "bridge" }), "ok", /no rule/],
];

describe("nftables", () => {
  test.each(RULESETS)("%s", (_what, rules, verdict, text) => {
    const found = firewall({ nft: rules });
    expect(found.map((one) => [one.verdict, one.text])).toEqual([[verdict, expect.stringMatching(text)]]);
  });

  test("remedies name the place, and firewalld's and ufw's own commands", () => {
    const [filter] = firewall({ nft: nft([]) });
    expect(filter?.remedy).toBe("nft insert rule inet filter input udp dport 10500 accept");
    const [out] = firewall({ nft: nft([], { hook: "output" }) });
    expect(out?.remedy).toBe("nft insert rule inet filter output udp sport 10500 accept");
    const [firewalld] = firewall({ nft: nft([], { table: "firewalld", chain: "filter_INPUT" }) });
    expect(firewalld?.remedy).toContain("firewall-cmd --permanent --add-port=10500/udp");
  });

  test.each([
    null,
    [],
    "x",
    { nftables: 7 },
    { nftables: [null, 7, { rule: null }, { table: { family: "inet" } }] },
  ])("%j is no ruleset, and no error", (document) => {
    expect(firewall({ nft: ok(document) }).map(({ verdict }) => verdict)).toEqual(["ok"]);
  });

  test("a family that this host has no address of is no matter", () => {
    const facts = {
      ...HEALTHY,
      filters: { nft: nft([], { family: "ip6" }), iptables: NONE, ip6tables: NONE },
    };
    expect(diagnose(facts).find(({ check }) => check === "firewall")?.verdict).toBe("ok");
    expect(firewall(facts.filters)[0]?.verdict).toBe("problem");
  });

  test("what may not be read is not checked", () => {
    const nft = err("nft: Operation not permitted (you must be root)");
    expect(firewall({ nft }, 1000)).toMatchObject([
      { verdict: "not-checked", remedy: expect.stringContaining("sudo") },
    ]);
    expect(firewall({ nft: err("nft is not installed") })).toMatchObject([
      { verdict: "not-checked", remedy: null, text: "neither nft nor iptables-save is there to ask" },
    ]);
  });
});

const SAVED = (rules: string, policy = "DROP"): string =>
  `# Generated by iptables-save\n*filter\n:INPUT ${policy} [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:ufw-user-input - [0:0]\n${rules}\nCOMMIT\n`;
const V6 = ok(SAVED("", "ACCEPT"));

describe("iptables", () => {
  test.each([
    ["a policy that drops", SAVED(""), "problem", /iptables table filter, chain INPUT, policy drop/],
    [
      "the port is let in",
      SAVED("-A INPUT -p udp -m udp --dport 10500 -j ACCEPT"),
      "ok",
      /no rule of nftables or iptables/,
    ],
    [
      "several ports are let in",
      SAVED("-A INPUT -p udp -m multiport --dports 53,10000:11000 -j ACCEPT"),
      "ok",
      /no rule/,
    ],
    [
      "answers only",
      SAVED("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -i lo -j ACCEPT"),
      "problem",
      /policy drop/,
    ],
    ["new ones, too", SAVED("-A INPUT -m state --state NEW,ESTABLISHED -j ACCEPT"), "ok", /no rule/],
    [
      "friends",
      SAVED("-A INPUT -s 192.0.2.0/24 -p udp -m udp --dport 10500 -j ACCEPT"),
      "warning",
      /may be blocked/,
    ],
    ["everybody", SAVED("-A INPUT -s 0.0.0.0/0 -p udp -j ACCEPT"), "ok", /no rule/],
    ["TCP", SAVED("-A INPUT -p tcp -m tcp --dport 10500 -j ACCEPT"), "problem", /policy drop/],
    [
      "another chain",
      SAVED(
        '-A INPUT -j ufw-user-input\n-A ufw-user-input -p udp --dport 10500 -m comment --comment "a b" -j ACCEPT',
      ),
      "ok",
      /no rule/,
    ],
    [
      "a rejection at the end",
      SAVED(
        "-A INPUT -p udp --dport 53 -j ACCEPT\n-A INPUT -j REJECT --reject-with icmp-host-prohibited",
        "ACCEPT",
      ),
      "problem",
      /-A INPUT -j REJECT/,
    ],
    ["a log line", SAVED('-A INPUT -j LOG --log-prefix "in "', "ACCEPT"), "ok", /no rule/],
    ["all but one port", SAVED("-A INPUT -p udp ! --dport 53 -j ACCEPT"), "ok", /no rule/],
    [
      "so many a second",
      SAVED("-A INPUT -p udp --dport 10500 -m limit --limit 5/sec -j ACCEPT"),
      "warning",
      /may be blocked/,
    ],
  ] as const)("%s", (_what, iptables, verdict, text) => {
    const found = firewall({ iptables: ok(iptables), ip6tables: V6 });
    expect(found.map((one) => [one.verdict, one.text])).toEqual([[verdict, expect.stringMatching(text)]]);
  });

  test("a remedy that iptables and ufw understand", () => {
    const [plain] = firewall({ iptables: ok(SAVED("")), ip6tables: V6 });
    expect(plain?.remedy).toBe("iptables -I INPUT -p udp --dport 10500 -j ACCEPT");
    const [ufw] = firewall({
      iptables: ok(SAVED("-A INPUT -j ufw-user-input\n-A ufw-user-input -j DROP")),
      ip6tables: V6,
    });
    expect(ufw?.remedy).toBe("ufw allow 10500/udp");
  });

  test("tables that only iptables can read are read from it alone", () => {
    const xt = { xt: { type: "match", name: "udp" } };
    const foreign = nft([[xt, accept]], { family: "ip", chain: "INPUT" });
    expect(firewall({ nft: foreign })[0]?.verdict).toBe("warning");
    const saved = ok(SAVED("-A INPUT -p udp -m udp --dport 10500 -j ACCEPT"));
    expect(firewall({ nft: foreign, iptables: saved, ip6tables: V6 })[0]?.verdict).toBe("ok");
  });
});
