/** hipctl why: each step's verdict from made-up facts, and whole answers from a daemon. */
import { describe, expect, test } from "vitest";
import { whyText } from "../../src/cli/commands/why.ts";
import { explain } from "../../src/cli/why/explain.ts";
import { addressOf, type Facts, peersAt, subjectOf } from "../../src/cli/why/facts.ts";
import { routeAnswer } from "../../src/cli/why/route.ts";
import { connectionsTo, listenersOf, parseService, parseSockets } from "../../src/cli/why/sockets.ts";
import { remedyFor } from "../../src/cli/why/steps.ts";
import { err, ok } from "../../src/core/types.ts";
import { NOW } from "../support/cli.ts";
import { connectedMachines, Machine } from "../support/machine.ts";
import { Medium } from "../support/runtime.ts";
import { ASSOCIATION, IN_USE, PEER as LOSSY, STATUS } from "../support/views.ts";

const PEER = { ...LOSSY, loss: 0 };

const GOOD: Facts = {
  argument: "db1",
  subject: { kind: "name", name: "db1" },
  service: null,
  now: NOW,
  status: STATUS,
  peer: PEER,
  refusal: undefined,
  others: [],
  association: ASSOCIATION,
  locators: {
    name: "db1",
    hit: "2001:22::7",
    locators: [IN_USE],
    paths: [],
  },
  seen: { peer: "db1", hit: "2001:22::7", local: "192.0.2.1:10500", seen: "203.0.113.9:4242", since: "" },
  routes: [
    {
      what: "HIT",
      address: "2001:22::7",
      route: ok({ device: "hip0", source: "2001:22::1", type: "unicast" }),
    },
    {
      what: "LSI",
      address: "198.18.0.7",
      route: ok({ device: "hip0", source: "198.18.0.1", type: "unicast" }),
    },
  ],
  resolved: ok(["198.18.0.7", "2001:22::7"]),
  interfaceAddresses: ["2001:22::1", "198.18.0.1"],
  sockets: undefined,
};

const verdicts = (facts: Facts): Readonly<Record<string, string>> =>
  Object.fromEntries(explain(facts).steps.map(({ check, verdict }) => [check, verdict]));

test("all is well: every step, a sentence, and nothing to do", () => {
  const explained = explain(GOOD);
  expect(explained).toMatchObject({ flows: true, peer: "db1", next: null });
  expect(`\n${whyText(explained, false)}`).toMatchInlineSnapshot(`
    "
    ok           argument       "db1" is read as a peer's name
    ok           peer           db1 (/etc/hipd/hipd.toml), HIT 2001:22::7, LSI 198.18.0.7
    ok           name           db1.hip is 198.18.0.7 and 2001:22::7
    ok           identity       it is shown our "identity" (ECDSA P-256), HIT 2001:22::1
    ok           policy         permitted: a configured peer, in both directions
    ok           interface      hip0 is up, with our HIT and our LSI 198.18.0.1
    ok           route to HIT   2001:22::7 goes to hip0 from 2001:22::1
    ok           route to LSI   198.18.0.7 goes to hip0 from 198.18.0.1
    not checked  packet filter  rules of nftables and iptables on this host: hipctl doctor looks for those that block
    ok           association    ESTABLISHED for 4 min, we were the initiator
    ok           ESP            AES-GCM-16, SPI in 0x0a0b0c0d and out 0x01020304, for 4 min; sent 1000 B in 10 packets, received 500 B in 5
    ok           locators       192.0.2.10:10500 ACTIVE for 4 min, announced, 0.412 ms, in use
    ok           path           udp 192.0.2.1:10500 > 192.0.2.10:10500, verified, RTT 0.412 ms, loss 0.0 %, MTU 1500, 1 other path
    ok           NAT            the peer sees us at 203.0.113.9:4242; keepalives hold the NAT's mapping open while nothing is sent

    Traffic to db1 can flow now.
    "
  `);
});

describe("what stands in the way is named, and what to do", () => {
  const none = {
    ...GOOD,
    association: undefined,
    peer: { ...PEER, state: "UNASSOCIATED", path: null },
  } as Facts;
  const broken: readonly (readonly [string, Facts, string, RegExp, RegExp])[] = [
    [
      "interface",
      { ...GOOD, interfaceAddresses: undefined },
      "problem",
      /^Traffic to db1 cannot flow now: interface: hip0 is not there/,
      /ip link show hip0/,
    ],
    [
      "route to HIT",
      {
        ...GOOD,
        routes: [
          {
            what: "HIT",
            address: "2001:22::7",
            route: ok({ device: "eth0", source: null, type: "unicast" }),
          },
        ],
      },
      "problem",
      /packets to 2001:22::7 go to eth0 instead of hip0/,
      /ip route get 2001:22::7/,
    ],
    [
      "route to LSI",
      {
        ...GOOD,
        routes: [{ what: "LSI", address: "198.18.0.7", route: err({ kind: "none", text: "unreachable" }) }],
      },
      "problem",
      /the kernel has no route to 198\.18\.0\.7: unreachable/,
      /ip route get/,
    ],
    [
      "identity",
      { ...GOOD, peer: { ...PEER, identity: "2001:22::dead" } },
      "problem",
      /identity: it is to be shown 2001:22::dead/,
      /hipctl identity/,
    ],
    [
      "policy",
      {
        ...none,
        peer: { ...PEER, state: "UNASSOCIATED", path: null, locators: [] },
        locators: { name: "db1", hit: null, locators: [], paths: [] },
      },
      "problem",
      /no locator of it is known/,
      /hipctl peer add/,
    ],
    [
      "association",
      {
        ...GOOD,
        association: { ...ASSOCIATION, state: "E-FAILED" },
        peer: { ...PEER, lastError: "no_answer_to_i1", lastErrorAt: "2025-01-02T03:04:00.000Z" },
      },
      "problem",
      /E-FAILED for 4 min; the last failure, 5 s ago: no_answer_to_i1/,
      /is hipd running at 192\.0\.2\.10:10500/,
    ],
    [
      "association",
      none,
      "info",
      /cannot flow yet: .* the first packet makes one\.$/,
      /^hipctl connect db1$/,
    ],
    [
      "path",
      { ...GOOD, association: { ...ASSOCIATION, loss: 0.2 } },
      "warning",
      /^Traffic to db1 can flow now, but look at "path"\.$/,
      /^hipctl locator list db1$/,
    ],
    [
      "ESP",
      { ...GOOD, association: { ...ASSOCIATION, rxPackets: 0 } },
      "warning",
      /can flow now, but look at "ESP"/,
      /hipctl ping/,
    ],
    [
      "name",
      { ...GOOD, resolved: ok(["198.18.0.99"]) },
      "warning",
      /can flow now, but look at "name"/,
      /\/etc\/hosts/,
    ],
  ];
  test.each(broken)("%s", (check, facts, verdict, conclusion, next) => {
    const explained = explain(facts);
    expect(verdicts(facts)[check]).toBe(verdict);
    expect(explained.conclusion).toMatch(conclusion);
    expect(explained.next).toMatch(next);
    expect(explained.flows).toBe(
      explained.steps.every((step) => step.verdict !== "problem") && facts !== none,
    );
  });

  test("a stranger: default deny, and the command that permits it", () => {
    const explained = explain({
      ...GOOD,
      argument: "2001:22::99",
      subject: { kind: "hit", address: "2001:22::99" },
      peer: undefined,
      refusal: "no peer has the HIT 2001:22::99; add it with hipctl peer add",
    });
    expect(explained).toMatchObject({ flows: false, peer: null, hit: "2001:22::99" });
    expect(explained.steps.map(({ check, verdict }) => `${check} ${verdict}`)).toEqual([
      "argument ok",
      "peer problem",
      "policy problem",
    ]);
    expect(explained.conclusion).toBe(
      "Nothing can flow to 2001:22::99 through the overlay: no peer has the HIT 2001:22::99.",
    );
    expect(explained.next).toBe("hipctl peer add NAME --hit 2001:22::99 --locator ADDRESS");
  });

  test("this host itself", () => {
    const explained = explain({
      ...GOOD,
      argument: "198.18.0.1",
      subject: { kind: "lsi", address: "198.18.0.1" },
    });
    expect(explained).toMatchObject({ flows: false });
    expect(explained.conclusion).toContain("is this host itself");
  });

  test("errors of peers have remedies of their own", () => {
    for (const [text, remedy] of [
      ["no_answer_to_i1", /hipctl doctor/],
      ["no_answer_to_i2", /does it permit 2001:22::1/],
      ["no_locator", /locator/],
      ["another host with our identity is at 192.0.2.9", /hipctl identity new/],
      ["something else", /hipctl events/],
    ] as const) {
      expect(remedyFor(text, PEER)).toMatch(remedy);
    }
  });
});

describe("a service", () => {
  const TCP = `  sl  local_address rem_address   st tx_queue rx_queue
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   2: 010012C6:D431 070012C6:0016 01 00000000:00000000 00:00000000 00000000     0        0 1 1
   3: 010012C6:D432 070012C6:0050 02 00000000:00000000 00:00000000 00000000     0        0 1 1
   4: nonsense
`;
  const rows = parseSockets(TCP, "tcp");
  test("is read from /proc/net", () => {
    expect(rows).toHaveLength(4);
    expect(rows[2]).toMatchObject({
      local: { address: "198.18.0.1", port: 54_321 },
      remote: { address: "198.18.0.7", port: 22 },
    });
    const v6 = "0: 0000000000000000FFFF00000100007F:0016 00000000000000000000000000000000:0000 0A";
    expect(parseSockets(v6, "tcp")[0]?.local.address).toBe("::ffff:7f00:1");
    expect(listenersOf(rows, { protocol: "tcp", port: 22 }, ["198.18.0.1"])).toEqual(["any address"]);
    expect(listenersOf(rows, { protocol: "tcp", port: 5432 }, ["198.18.0.1"])).toEqual([]);
    expect(connectionsTo(rows, { protocol: "tcp", port: 80 }, ["198.18.0.7"])).toEqual({
      established: 0,
      unanswered: 1,
    });
  });
  test("is told apart: here, and there", () => {
    const ssh = { ...GOOD, service: { protocol: "tcp", port: 22 }, sockets: rows } as Facts;
    expect(verdicts(ssh)).toMatchObject({ "tcp/22": "ok", "tcp/22 there": "ok" });
    const web = { ...ssh, service: { protocol: "tcp", port: 80 } } as Facts;
    expect(verdicts(web)).toMatchObject({ "tcp/80": "info", "tcp/80 there": "warning" });
    expect(verdicts({ ...ssh, sockets: undefined })).toMatchObject({ "tcp/22": "not-checked" });
  });
  test("has a protocol and a port", () => {
    expect(parseService("udp/53")).toEqual({ protocol: "udp", port: 53 });
    for (const text of ["53", "udp/0", "udp/65536", "sctp/5", "tcp/"])
      expect(parseService(text)).toBeUndefined();
  });
});

test("what somebody asks about", () => {
  const prefix = "198.18.0.0/15";
  expect(subjectOf("db1.hip", prefix)).toEqual({ kind: "name", name: "db1" });
  expect(subjectOf("2001:0022::7", prefix)).toEqual({ kind: "hit", address: "2001:22::7" });
  expect(subjectOf("198.19.3.4", prefix)).toEqual({ kind: "lsi", address: "198.19.3.4" });
  expect(subjectOf("192.0.2.1:10500", prefix)).toEqual({ kind: "address", address: "192.0.2.1" });
  expect(subjectOf("[2001:db8::1]:10500", prefix)).toEqual({ kind: "address", address: "2001:db8::1" });
  expect(addressOf("[2001:db8::1]:10500")).toBe("2001:db8::1");
  const at = (address: string, inUse: boolean) => ({ ...GOOD.locators?.locators[0], address, inUse });
  const peers = [
    { name: "a", hit: null, locators: [at("192.0.2.9:10500", false)], paths: [] },
    { name: "b", hit: null, locators: [at("192.0.2.9:10501", true)], paths: [] },
  ] as unknown as Parameters<typeof peersAt>[1];
  expect(peersAt("192.0.2.9", peers)).toEqual(["b", "a"]);
});

test("what ip route get says", () => {
  const answer = (text: string) => routeAnswer(null, text, "");
  expect(answer('[{"dst":"2001:22::7","dev":"hip0","prefsrc":"2001:0022::1"}]')).toEqual(
    ok({ device: "hip0", source: "2001:22::1", type: "unicast" }),
  );
  expect(answer('[{"type":"unreachable","dst":"198.18.0.7"}]')).toEqual(
    err({ kind: "none", text: "unreachable" }),
  );
  expect(answer("nonsense")).toMatchObject({ error: { kind: "unknown" } });
  expect(routeAnswer({ code: 2 }, "", "RTNETLINK answers: No route to host\n")).toEqual(
    err({ kind: "none", text: "No route to host" }),
  );
  expect(routeAnswer({ code: "ENOENT" }, "", "")).toMatchObject({ error: { kind: "unknown" } });
});

describe("against a daemon", () => {
  const medium = new Medium();
  const [a, b] = connectedMachines(medium);

  test("names, HITs, LSIs and addresses lead to the same peer", async () => {
    const { peers } = await a.json<{ peers: { lsi: string }[] }>("peer", "list");
    for (const text of ["b", "b.hip", await b.hit(), String(peers[0]?.lsi), "192.0.2.2", "192.0.2.2:10500"]) {
      const told = await a.json<{ peer: string; steps: { check: string; verdict: string }[] }>("why", text);
      expect(told.peer, text).toBe("b");
      expect(told.steps.find(({ check }) => check === "association")?.verdict).toBe("ok");
    }
  });

  test("a name that nobody has: 1, with the nearest; nonsense: 2; without hipd: 5", async () => {
    const near = await a.ctl(["why", "bb"]);
    expect(near).toMatchObject({ status: 1, error: "" });
    expect(near.out).toMatch(/problem {2}peer .*no peer is named "bb"\n.*-> did you mean "b"\?/);
    expect(await a.ctl(["why", "b", "ssh"])).toMatchObject({ status: 2, out: "" });
    const keys = Object.keys(await a.json<object>("why", "2001:22::99"));
    expect(keys).toEqual(["argument", "service", "peer", "hit", "flows", "steps", "conclusion", "next"]);
    const dead = new Machine("192.0.2.7", medium);
    expect(await dead.ctl(["why", "b"])).toMatchObject({ status: 5, out: "" });
  });
});
