/** hipctl against a whole daemon in this process. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type CliOptions, hipctl } from "../support/cli.ts";
import { connectedMachines } from "../support/machine.ts";
import { Medium } from "../support/runtime.ts";

const [a] = connectedMachines(new Medium());
const atA = (argv: readonly string[], options: CliOptions = {}) => a.ctl(argv, options);
const jsonAtA = async (argv: readonly string[]) => JSON.parse((await atA([...argv, "--json"])).out);

beforeAll(async () => {
  await atA(["locator", "add", "203.0.113.5"]);
});

describe("every command answers people and programs", () => {
  test.each([
    [["status"], /^hipd .*\nHIT .*\nPEER +STATE .*\nb +ESTABLISHED /s],
    [["peer", "list"], /^PEER +STATE/],
    [["peer", "list", "--names"], /^b\n$/],
    [["peer", "list", "--hosts"], /^198\.\S+ b\.hip b\n2001:2\S+ b\.hip b\n$/],
    [["peer", "show", "b"], /^name +b\nstate +ESTABLISHED\n/],
    [["association", "list"], /^PEER +STATE +ROLE/],
    [["association", "show", "b"], /^peer +b\nstate +ESTABLISHED for /],
    [
      ["connect", "b"],
      /^b \(2001:2.*\) is reachable: udp 192\.0\.2\.1:10500 > 192\.0\.2\.2:10500, AES-GCM-16, after /,
    ],
    [["identity", "list"], /^IDENTITY +DEFAULT/],
    [["identity", "list", "--names"], /^identity\n$/],
    [["identity", "show"], /^name +identity \(default\)\n/],
    [["identity", "export"], /^identity\. IN HIP \( /],
    [
      ["locator", "list"],
      /^this host\n {2}LOCATOR +STATE .*\n\* 203\.0\.113\.5:10500 +offered +static .*\n {2}192\.0\.2\.1:10500 .*\nb \(2001:2.*\n/s,
    ],
    [["locator", "add", "203.0.113.6"], /^added 203\.0\.113\.6 \(until hipd restarts; /],
    [
      ["locator", "prefer", "203.0.113.6"],
      /^203\.0\.113\.6 is preferred until hipd restarts\n.*\n\* 203\.0\.113\.6/,
    ],
    [["locator", "prefer", "auto"], /^hipd decides\n/],
    [
      ["handover", "b", "--to", "192.0.2.2"],
      /^b is at udp 192\.0\.2\.1:10500 > 192\.0\.2\.2:10500 already, and stays/,
    ],
    [["handover", "b"], /^b is at udp .*; the policy chooses\n$/],
    [["counters"], /^COUNTER +VALUE\n.*more are zero: --all\)\n$/s],
    [
      ["drops", "mac"],
      /^Discarded since the start .*\n\nREASON +LAYER +COUNT +MEANING\nmac +hip +0 .*\n\nWhat to do:\nmac: /s,
    ],
    [["drops", "--all"], /^Discarded since the start .*\nesp_auth +data +0 /s],
    [["reload"], /^nothing changed\n$/],
    [["version"], /^hipctl \S+\nhipd {3}1\.2\.3\n$/],
    [["ping", "b", "-c", "1"], /^ping b .*\n1: 0\.412 ms over udp .*\nb: 1 sent, 1 answered, 0 % lost/],
    [["events", "--since", "2", "-n", "1"], /^\d\d:\d\d:\d\d\.\d{3} {2}peer-added {2}b/],
  ])("%j", async (argv, text) => {
    const people = await atA(argv);
    expect(people).toMatchObject({ status: 0, error: "" });
    expect(people.out).toMatch(text);
    if (argv.includes("--names") || argv.includes("--hosts")) return;
    const programs = await atA([...argv, "--json"]);
    expect(programs).toMatchObject({ status: 0, error: "" });
    const lines = ["ping", "events"].includes(argv[0] as string)
      ? programs.out.trim().split("\n")
      : [programs.out];
    for (const line of lines) expect(typeof JSON.parse(line)).toBe("object");
  });
});

/** The keys of a value, nested: what docs/JSON.md promises. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shape(value[0])];
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shape(item)]));
}

describe("the JSON schema is stable", () => {
  const path = { carrier: "string", local: "string", remote: "string" };
  const peer = {
    name: "string",
    hit: "string",
    lsi: "string",
    state: "string",
    suite: "string",
    path,
    txBytes: "number",
    rxBytes: "number",
    txPackets: "number",
    rxPackets: "number",
    establishedAt: "string",
    lastError: "null",
    lastErrorAt: "null",
    locators: ["string"],
    carrier: "string",
    inboundFamily: "string",
    identity: "string",
    source: "string",
    file: "string",
    opportunistic: "boolean",
    pathState: "string",
    rttMillis: expect.stringMatching(/^(null|number)$/),
    otherPaths: "number",
    loss: expect.stringMatching(/^(null|number)$/),
    handovers: "number",
  };
  const quality = {
    rttMillis: expect.stringMatching(/^(null|number)$/),
    loss: expect.stringMatching(/^(null|number)$/),
    mtu: expect.stringMatching(/^(null|number)$/),
  };
  const ownLocator = {
    address: "string",
    source: "string",
    interface: "null",
    state: "string",
    reason: "null",
    preferred: "boolean",
    preference: "number",
    since: "string",
    lifetimeSeconds: "null",
    ...quality,
  };
  const peerLocator = {
    address: "string",
    source: "string",
    state: "string",
    preferred: "boolean",
    inUse: "boolean",
    since: "string",
    until: "null",
    ...quality,
  };
  const pair = {
    path,
    inUse: "boolean",
    state: "string",
    heardAt: expect.stringMatching(/^(null|string)$/),
    ...quality,
  };
  const identity = {
    name: "string",
    hit: "string",
    suite: "number",
    algorithm: "string",
    file: "string",
    default: "boolean",
    peers: ["string"],
  };
  const association = {
    name: "string",
    hit: "string",
    identity: "string",
    lsi: "string",
    state: "string",
    role: "string",
    path,
    suite: "string",
    hipCipher: "string",
    dhGroup: "string",
    inSpi: "string",
    outSpi: "string",
    exchangeMillis: "number",
    since: "string",
    establishedAt: "string",
    peerDomain: "null",
    pathMtu: "number",
    txBytes: "number",
    rxBytes: "number",
    txPackets: "number",
    rxPackets: "number",
    pathState: "string",
    rttMillis: expect.stringMatching(/^(null|number)$/),
    loss: expect.stringMatching(/^(null|number)$/),
    otherPaths: "number",
  };
  const table: readonly (readonly [argv: readonly string[], shape: unknown])[] = [
    [
      ["status"],
      {
        self: {
          hit: "string",
          lsi: "string",
          identities: [identity],
          interface: "string",
          port: "number",
          lsiPrefix: "string",
          addresses: ["string"],
        },
        version: "string",
        startedAt: "string",
        uptimeSeconds: "number",
        peers: [peer],
      },
    ],
    [["peer", "list"], { peers: [peer] }],
    [["peer", "show", "b"], peer],
    [["association", "list"], { associations: [association] }],
    [["association", "show", "b"], association],
    [["connect", "b"], { association, millis: "number" }],
    [["identity", "list"], { identities: [identity] }],
    [["identity", "show"], { identity, hipRecord: "string" }],
    [["version"], { hipctl: "string", hipd: "string" }],
    [
      ["reload"],
      {
        added: [],
        removed: [],
        changed: [],
        host: "boolean",
        identities: "boolean",
        locators: "boolean",
        needsRestart: [],
      },
    ],
    [
      ["locator", "list", "b"],
      {
        own: [ownLocator],
        peers: [{ name: "string", hit: "string", locators: [peerLocator], paths: [pair] }],
      },
    ],
    [["locator", "add", "203.0.113.5"], { own: [ownLocator] }],
    [["handover", "b", "--to", "192.0.2.2"], { name: "string", moved: "boolean", path, millis: "number" }],
  ];
  test.each(table)("%j", async (argv, expected) => {
    const value = await jsonAtA(argv);
    expect(shape(value)).toEqual(expected);
    expect(Object.keys(value)).toEqual(Object.keys(expected as object));
  });

  test("docs/JSON.md names every key", () => {
    const text = readFileSync(new URL("../../docs/JSON.md", import.meta.url), "utf8");
    const keys = [
      peer,
      identity,
      association,
      path,
      ownLocator,
      peerLocator,
      pair,
      (table[0] as readonly [unknown, { self: object }])[1].self,
    ].flatMap(Object.keys);
    for (const key of keys) expect(text, key).toContain(`\`${key}\``);
  });

  test("ping and events give one value a line", async () => {
    const ping = (await atA(["ping", "b", "-c", "2", "-i", "0.01", "--json"])).out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(ping.map((each) => each.type)).toEqual(["ping-start", "ping-reply", "ping-reply", "ping-done"]);
    const [event] = (await atA(["events", "--since", "2", "-n", "1", "--json"])).out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(Object.keys(event)).toEqual(["number", "time", "name", "peer", "hit", "detail"]);
    expect(event).toMatchObject({ number: 2, name: "peer-added", peer: "b", detail: { source: "runtime" } });
    const events = await atA(["events", "--since", "1", "-n", "5", "--json"]);
    const all = events.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const made = all.find((each) => each.name === "association-established");
    expect(made?.detail).toMatchObject({ role: "initiator", millis: expect.any(Number), espSuite: 13 });
  });
});

describe("wrong use is told in one line, with its own exit status", () => {
  test.each([
    [["statu"], 2, "hipctl: unknown command 'statu'\n(Did you mean status?)\n"],
    [["peer", "show"], 2, "hipctl: missing required argument 'peer'\n"],
    [["status", "--jsn"], 2, "hipctl: unknown option '--jsn'\n(Did you mean --json?)\n"],
    [["ping", "b", "-c", "0"], 2, 'hipctl: --count: "0" is not a whole number from 1 to 1000000000\n'],
    [
      ["connect", "b", "--timeout", "soon"],
      2,
      'hipctl: --timeout: "soon" is not a time from 100ms to 10m, like 30 (seconds), 500ms or 2m\n',
    ],
    [["peer", "show", "c"], 6, /^hipctl: no peer is named "c"/],
    [["peer", "add", "b", "--hit", "2001:22::1"], 6, /^hipctl: .*"b"/],
    [["peer", "add", "c", "--hit", "2001:db8::1"], 2, /^hipctl: .*2001:db8::1.* is not a HIT/],
    [["peer", "add", "C", "--hit", "2001:22::1"], 2, /^hipctl: /],
    [["identity", "new"], 2, "hipctl: an identity needs a name: hipctl identity new NAME\n"],
    [["identity", "use", "nobody"], 6, 'hipctl: there is no identity "nobody"\n'],
    [
      ["identity", "import", "/nowhere/key.pem"],
      1,
      "hipctl: /nowhere/key.pem: cannot be read: no such file or directory\n",
    ],
    [
      ["identity", "list", "--dir", "x", "--config", "y"],
      2,
      "hipctl: --dir and --config exclude each other\n",
    ],
    [["locator", "add", "b"], 2, /^hipctl: "b" is not a locator; write /],
    [["locator", "add", "198.18.0.9"], 2, /^hipctl: 198\.18\.0\.9 lies in the overlay itself/],
    [["locator", "remove", "192.0.2.77"], 6, /^hipctl: 192\.0\.2\.77 is not a locator of this host; /],
    [["locator", "prefer", "192.0.2.77"], 6, /^hipctl: 192\.0\.2\.77 is no locator that peers are told of; /],
    [["locator", "prefer", "first"], 2, /^hipctl: "first" is not an IP address; give one, or "auto"/],
    [["locator", "list", "nobody"], 6, /^hipctl: no peer is named "nobody"/],
    [
      ["handover", "b", "--to", "192.0.2.77"],
      6,
      /^hipctl: 192\.0\.2\.77 is not an address of "b"; it is known to be at /,
    ],
    [
      ["handover", "b", "--from", "192.0.2.77"],
      2,
      /^hipctl: 192\.0\.2\.77 is not an address of this host; it has /,
    ],
    [["handover", "b", "--to", "x"], 2, 'hipctl: "x" is not an IP address\n'],
    [["completion", "csh"], 2, /^hipctl: command-argument value 'csh' is invalid/],
  ] as const)("%j", async (argv, status, message) => {
    const result = await atA(argv);
    expect(result.error).toEqual(typeof message === "string" ? message : expect.stringMatching(message));
    expect(result).toMatchObject({ status, out: "" });
  });

  test("a peer that cannot be reached: 7 after the time is up", async () => {
    await atA(["peer", "add", "silent", "--hit", "2001:22::99", "--locator", "192.0.2.99"]);
    expect(await atA(["connect", "silent", "--timeout", "1"])).toMatchObject({
      status: 7,
      error: expect.stringMatching(/^hipctl: .*silent/),
    });
    expect((await atA(["peer", "remove", "silent"])).out).toBe("removed silent\n");
  });

  test("a reload that is refused: 3, with every problem", async () => {
    const file = join(a.folder, "hipd.toml");
    const good = readFileSync(file, "utf8");
    writeFileSync(file, `${good}[log]\nlevle = 1\nformta = 2\n`);
    const result = await atA(["reload"]);
    writeFileSync(file, good);
    expect(result).toMatchObject({ status: 3 });
    expect(result.error).toMatch(
      /^hipctl: .*:6:1: unknown key "levle" in \[log\]; did you mean "level"\?\nhipctl: .*:7:1: /,
    );
  });
});

test("ping ends at an interrupt, with its summary", async () => {
  let fire = () => {};
  const running = atA(["ping", "b", "-i", "0.01"], {
    interrupt: (action) => {
      fire = action;
    },
  });
  setTimeout(() => fire(), 300);
  const result = await running;
  expect(result.status).toBe(0);
  expect(result.out).toMatch(/\n\nb: \d+ sent, \d+ answered, 0 % lost; least\/mean\/most /);
});

test("HIPD_SOCKET is respected, --socket wins", async () => {
  const environment = { HIPD_SOCKET: join(a.folder, "hipd.sock") };
  expect((await hipctl(["status"], { environment })).status).toBe(0);
  expect((await hipctl(["--socket", "/nowhere", "status"], { environment })).status).toBe(5);
});

test("with hipd, the private key is read from its file", async () => {
  const result = await atA(["identity", "export", "--private"]);
  expect(result.out).toBe(readFileSync(join(a.folder, "state/identity.pem"), "utf8"));
});
