/** A whole daemon around a data plane in memory: start, control, reload, stop. */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { formatHit } from "../../src/core/ip.ts";
import { loadConfig } from "../../src/runtime/config-file.ts";
import { ControlClient } from "../../src/runtime/control-client.ts";
import { Daemon } from "../../src/runtime/daemon.ts";
import { serviceManager } from "../../src/runtime/systemd.ts";
import { FakeNetwork, Medium, memoryLog, temporaryFolder, write } from "../support/runtime.ts";

const running: Daemon[] = [];
const clients: ControlClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all(running.splice(0).map((daemon) => daemon.stop()));
});

const BASE = `
[state]
directory = "state"
[control]
socket = "hipd.sock"
`;

interface Started {
  readonly folder: string;
  readonly file: string;
  readonly daemon: Daemon;
  readonly client: ControlClient;
  readonly network: FakeNetwork;
  readonly lines: Record<string, unknown>[];
}

async function start(
  options: {
    folder?: string;
    text?: string;
    address?: string;
    medium?: Medium;
    notified?: string[];
    nice?: number[];
  } = {},
): Promise<Started> {
  const folder = options.folder ?? temporaryFolder();
  const file = join(folder, "hipd.toml");
  writeFileSync(file, options.text ?? BASE);
  const config = loadConfig(file);
  if (!config.ok) throw new Error(JSON.stringify(config.error));
  const { log, lines } = memoryLog();
  const network = new FakeNetwork(options.address ?? "192.0.2.1", options.medium);
  const service = serviceManager({ NOTIFY_SOCKET: "@x" }, (_socket, message) =>
    options.notified?.push(message),
  );
  const goAhead = (nice: number): unknown => options.nice?.push(nice);
  const own = { config: config.value, network, log, service, version: "1.2.3", goAhead };
  const started = await Daemon.start(own);
  if (!started.ok) throw new Error(started.error.messages.join("\n"));
  running.push(started.value);
  const client = ControlClient.open(join(folder, "hipd.sock"));
  if (!client.ok) throw new Error(client.error.message);
  clients.push(client.value);
  return { folder, file, daemon: started.value, client: client.value, network, lines };
}

async function ask<T = Record<string, never>>(
  from: Started,
  method: string,
  request: unknown = {},
): Promise<T> {
  const answer = await from.client.call<T>(method, request);
  if (!answer.ok) throw new Error(`${answer.error.code}: ${answer.error.message}`);
  return answer.value;
}

interface Status {
  self: { hit: string; lsi: string; identities: { name: string; default: boolean; hit: string }[] };
  version: string;
  peers: { name: string; state: string; path: { remote: string } | null; establishedAt: string | null }[];
}

/** Two daemons on one medium that have each other as peers. */
async function acquainted(): Promise<{ a: Started; b: Started; medium: Medium }> {
  const medium = new Medium();
  const a = await start({ medium, address: "192.0.2.1" });
  const b = await start({ medium, address: "192.0.2.2" });
  const hitOf = async (of: Started) => (await ask<Status>(of, "GetStatus")).self.hit;
  await ask(a, "AddPeer", { name: "b", hit: await hitOf(b), locators: ["192.0.2.2"] });
  await ask(b, "AddPeer", { name: "a", hit: await hitOf(a), locators: ["192.0.2.1"] });
  return { a, b, medium };
}

describe("first start", () => {
  test("makes an identity of mode 0600 in a folder of mode 0700, and keeps it", async () => {
    const first = await start();
    const key = join(first.folder, "state/identity.pem");
    expect(statSync(key).mode & 0o777).toBe(0o600);
    expect(statSync(join(first.folder, "state")).mode & 0o777).toBe(0o700);
    const { self } = await ask<Status>(first, "GetStatus");
    expect(self.hit).toMatch(/^2001:2/);
    expect(first.lines.some((line) => line["event"] === "identity-created" && line["hit"] === self.hit)).toBe(
      true,
    );
    await first.daemon.stop();
    const second = await start({ folder: first.folder });
    const again = await ask<Status>(second, "GetStatus");
    expect(again.self.hit).toBe(self.hit);
    expect(again.self.lsi).toBe(self.lsi);
    expect(again.self.identities).toMatchObject([{ name: "identity", default: true }]);
    expect(second.network.opened?.lsi).toBe(self.lsi);
  });

  test("refuses a key that others can read, and says how to mend it", async () => {
    const first = await start();
    await first.daemon.stop();
    const key = join(first.folder, "state/identity.pem");
    writeFileSync(join(first.folder, "copy"), readFileSync(key), { mode: 0o640 });
    rmSync(key);
    writeFileSync(key, readFileSync(join(first.folder, "copy")), { mode: 0o640 });
    await expect(start({ folder: first.folder })).rejects.toThrow(
      /identity\.pem: other users have access to this private key \(mode 0640\); run: chmod 600/,
    );
  });
});

describe("two daemons", () => {
  test("connect, ping, close; the association is seen at both ends", async () => {
    const { a } = await acquainted();
    const connected = await ask<{ association: { state: string; path: { remote: string } } }>(a, "Connect", {
      peer: "b",
    });
    expect(connected.association).toMatchObject({
      state: "ESTABLISHED",
      path: { remote: "192.0.2.2:10500" },
    });
    const events: Record<string, unknown>[] = [];
    const ping = a.client.stream<Record<string, unknown>>(
      "Ping",
      { peer: "b", count: 2, intervalMillis: 10, bytes: 56 },
      (event) => events.push(event),
    );
    expect((await ping.done).ok).toBe(true);
    expect(events.map((event) => Object.keys(event).find((key) => event[key] !== null))).toEqual([
      "start",
      "reply",
      "reply",
      "done",
    ]);
    const status = await ask<Status>(a, "GetStatus");
    expect(status.peers[0]).toMatchObject({ name: "b", state: "ESTABLISHED", txBytes: 300, rxBytes: 200 });
    expect(status.peers[0]?.establishedAt).toMatch(/^20..-..-..T.*Z$/);
    expect(a.lines.filter((line) => line["event"] === "association-established")).toHaveLength(1);
    expect(await ask(a, "CloseAssociation", { peer: "b" })).toMatchObject({ name: "b", was: "ESTABLISHED" });
  });

  test("no key material is in any log line", async () => {
    const { a, b } = await acquainted();
    await ask(a, "Connect", { peer: "b" });
    const text = JSON.stringify([...a.lines, ...b.lines]);
    for (const sa of [...a.network.plane.sas, ...b.network.plane.sas]) {
      expect(text).not.toContain(Buffer.from(sa.encryptionKey).toString("hex"));
      expect(text).not.toContain(Buffer.from(sa.encryptionKey).toString("base64"));
    }
    expect(a.network.plane.sas.length).toBeGreaterThan(0);
    expect(text).not.toContain("PRIVATE KEY");
  });
});

const HIT = "2001:22:1:2:3:4:5:6";
const OTHER = "2001:22:1:2:3:4:5:7";

describe("reload", () => {
  test("applies only the differences", async () => {
    const peer = (name: string, hit: string, locator: string) =>
      `[[peer]]\nname = "${name}"\nhit = "${hit}"\nlocators = ["${locator}"]\n`;
    const it = await start({ text: BASE + peer("a", HIT, "192.0.2.7") + peer("b", OTHER, "192.0.2.8") });
    writeFileSync(it.file, BASE + peer("a", HIT, "192.0.2.7") + peer("c", OTHER, "192.0.2.8"));
    expect(await ask(it, "Reload")).toMatchObject({
      added: ["c"],
      removed: ["b"],
      changed: [],
      needsRestart: [],
    });
    expect(await ask(it, "Reload")).toMatchObject({ added: [], removed: [], changed: [], host: false });
  });

  test("a bad file changes nothing and every problem is told", async () => {
    const it = await start({ text: `${BASE}[[peer]]\nname = "a"\nhit = "${HIT}"\n` });
    writeFileSync(it.file, `${BASE}[network]\nprot = 1\n[[peer]]\nname = "b"\nhit = "2001:db8::1"\n`);
    const answer = await it.client.call("Reload", {});
    expect(answer).toMatchObject({ ok: false, error: { code: "config" } });
    if (answer.ok) return;
    expect(answer.error.message).toMatch(
      /hipd.toml:7:1: unknown key "prot" in \[network\]; did you mean "port"\?\n.*:10:7: \[\[peer\]\] "b" hit: "2001:db8::1" is not a HIT/,
    );
    const { peers } = await ask<Status>(it, "GetStatus");
    expect(peers.map((peer) => peer.name)).toEqual(["a"]);
  });

  test("another nice value is passed on, without a restart", async () => {
    const nice: number[] = [];
    const it = await start({ nice });
    writeFileSync(it.file, `${BASE}[network]\nnice = 4\n`);
    expect(await ask(it, "Reload")).toMatchObject({ needsRestart: [] });
    expect(nice).toEqual([4]);
  });

  test("what needs a restart is named and left alone", async () => {
    const it = await start();
    writeFileSync(it.file, `${BASE}[network]\nport = 10501\nlsi_prefix = "10.0.0.0/8"\n`);
    expect(await ask(it, "Reload")).toMatchObject({ needsRestart: ["network.port", "network.lsi_prefix"] });
    expect(await ask(it, "GetStatus")).toMatchObject({ self: { port: 10500, lsiPrefix: "198.18.0.0/15" } });
    // Raw sockets need a right that hipd has given up when it had no use for it.
    const plain = `${BASE}[[peer]]\nname = "x"\nhit = "2001:22::9"\nencapsulation = "none"\n`;
    writeFileSync(it.file, plain);
    expect(await ask(it, "Reload")).toMatchObject({ needsRestart: ['encapsulation = "none"'] });
    writeFileSync(it.file, plain.replace("2001:22::9", "2001:22::8"));
    expect(await ask(it, "Reload")).toMatchObject({ needsRestart: [] });
  });

  test("tells the service manager", async () => {
    const notified: string[] = [];
    const it = await start({ notified });
    await ask(it, "Reload");
    const states = notified.filter((message) => !message.startsWith("STATUS="));
    expect(states.map((message) => message.split("\n")[0])).toEqual(["RELOADING=1", "READY=1"]);
    await it.daemon.stop();
    expect(notified.at(-1)).toBe("STOPPING=1");
  });
});

describe("peers at run time", () => {
  test("kept ones stand in peers.d and come back after a restart; others do not", async () => {
    const it = await start();
    await ask(it, "AddPeer", {
      name: "kept",
      hit: HIT,
      locators: ["192.0.2.7", "[2001:db8::1]:10501"],
      keep: true,
    });
    await ask(it, "AddPeer", { name: "passing", hit: OTHER, locators: ["192.0.2.8"] });
    expect(readFileSync(join(it.folder, "peers.d/kept.toml"), "utf8")).toContain(`hit = "${HIT}"`);
    await it.daemon.stop();
    const again = await start({ folder: it.folder });
    const { peers } = await ask<{ peers: Record<string, unknown>[] }>(again, "ListPeers");
    expect(peers).toMatchObject([
      { name: "kept", hit: HIT, locators: ["192.0.2.7:10500", "[2001:db8::1]:10501"], source: "peers.d" },
    ]);
    await ask(again, "RemovePeer", { peer: "kept", keep: true });
    expect(() => statSync(join(it.folder, "peers.d/kept.toml"))).toThrow(/ENOENT/);
  });

  test("wrong requests get a code and a sentence", async () => {
    const it = await start();
    await ask(it, "AddPeer", { name: "a", hit: HIT, locators: [] });
    const wrong = async (method: string, request: unknown) => {
      const answer = await it.client.call(method, request);
      return answer.ok ? "ok" : answer.error.code;
    };
    expect(await wrong("AddPeer", { name: "a", hit: OTHER })).toBe("exists");
    expect(await wrong("AddPeer", { name: "b", hit: "nonsense" })).toBe("invalid");
    expect(await wrong("AddPeer", { name: "b", hit: OTHER, locators: ["nonsense"] })).toBe("invalid");
    expect(await wrong("AddPeer", { name: "b", hit: OTHER, identity: "nobody" })).toBe("not_found");
    expect(await wrong("GetPeer", { peer: "nobody" })).toBe("not_found");
    expect(await wrong("Connect", { peer: "a", timeoutMillis: 200 })).not.toBe("ok");
  });
});

describe("identities through the API", () => {
  test("new, use, show, and what is chosen survives a restart", async () => {
    const it = await start();
    const made = await ask<{ hit: string; name: string }>(it, "NewIdentity", {
      name: "second",
      kind: "ed25519",
    });
    expect(made).toMatchObject({ name: "second", algorithm: "Ed25519", suite: 5, default: false });
    expect(it.network.hits).toHaveLength(2);
    await ask(it, "UseIdentity", { identity: "second" });
    expect((await ask<Status>(it, "GetStatus")).self.hit).toBe(made.hit);
    expect(await ask(it, "GetIdentity", { identity: "" })).toMatchObject({
      identity: { name: "second" },
      hipRecord: expect.stringMatching(/^IN HIP/),
    });
    await it.daemon.stop();
    const again = await start({ folder: it.folder });
    expect((await ask<Status>(again, "GetStatus")).self.hit).toBe(made.hit);
  });

  test("peers that are shown another identity get a route of their own", async () => {
    const it = await start();
    const made = await ask<{ hit: string }>(it, "NewIdentity", { name: "second", kind: "" });
    const other = (await ask<Status>(it, "GetStatus")).self.hit;
    await ask(it, "AddPeer", { name: "a", hit: HIT, locators: [], identity: "second" });
    await ask(it, "AddPeer", { name: "b", hit: OTHER, locators: [] });
    const shown = () => it.network.sources.map(({ peer, local }) => [formatHit(peer), formatHit(local)]);
    await expect.poll(shown).toEqual([[HIT, made.hit]]);
    await ask(it, "UseIdentity", { identity: "second" });
    await expect.poll(shown).toEqual([]);
    await ask(it, "UseIdentity", { identity: "identity", peer: "b" });
    await expect.poll(shown).toEqual([[OTHER, other]]);
    await ask(it, "RemovePeer", { peer: "b" });
    await expect.poll(shown).toEqual([]);
  });

  test("an existing name is not replaced, a bad kind and a bad key are refused", async () => {
    const it = await start();
    await ask(it, "NewIdentity", { name: "x", kind: "" });
    const code = async (method: string, request: unknown) => {
      const answer = await it.client.call(method, request);
      return answer.ok ? "ok" : `${answer.error.code} ${answer.error.message}`;
    };
    expect(await code("NewIdentity", { name: "x", kind: "" })).toMatch(/^exists .*x\.pem: exists already/);
    expect(await code("NewIdentity", { name: "y", kind: "ed2551" })).toMatch(
      /^invalid .*did you mean "ed25519"/,
    );
    expect(await code("NewIdentity", { name: "../y", kind: "" })).toMatch(/^invalid /);
    expect(await code("ImportIdentity", { name: "y", privateKey: Buffer.from("junk") })).toMatch(
      /^failed not a usable private key/,
    );
    expect(await code("UseIdentity", { identity: "nobody" })).toMatch(/^not_found /);
  });
});

describe("state", () => {
  test("a damaged state file is kept aside and told", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "state"), { mode: 0o700 });
    write(join(folder, "state"), "state.json", "{ not json", 0o600);
    const it = await start({ folder });
    const told = it.lines.find((line) => line["event"] === "state-damaged");
    expect(readFileSync(String(told?.["keptAs"]), "utf8")).toBe("{ not json");
  });

  test("the R1 counter grows with every start", async () => {
    const it = await start();
    const counter = () => BigInt(readFileSync(join(it.folder, "state/r1-counter"), "utf8").trim());
    const first = counter();
    await it.daemon.stop();
    await start({ folder: it.folder });
    expect(counter()).toBeGreaterThan(first);
  });
});

describe("metrics", () => {
  test("only GET /metrics and /healthz are answered", async () => {
    const it = await start({ text: `${BASE}[metrics]\nlisten = "127.0.0.1:0"\n` });
    const fetchText = async (path: string, method = "GET"): Promise<{ status: number; body: string }> => {
      const answer = await fetch(`http://127.0.0.1:${it.daemon.metricsPort}${path}`, { method });
      return { status: answer.status, body: await answer.text() };
    };
    const page = await fetchText("/metrics");
    expect(page.status).toBe(200);
    expect(page.body).toContain('hipd_associations{state="ESTABLISHED"} 0');
    expect(page.body).toContain('hipd_drops_total{layer="data",reason="replay"} 1');
    expect(page.body).toContain('hipd_esp_packets_total{direction="tx"} 3');
    expect(page.body).toContain('hipd_exchange_seconds_bucket{le="+Inf"} 0');
    expect(page.body).toContain('hipd_build_info{version="1.2.3",node="');
    expect(page.body).toContain("hipd_puzzle_difficulty ");
    expect((await fetchText("/healthz")).body).toBe("ok\n");
    expect((await fetchText("/")).status).toBe(404);
    expect((await fetchText("/metrics", "POST")).status).toBe(405);
  });
});

describe("the control socket", () => {
  test("has mode 0660, replaces a dead one, and refuses a living one", async () => {
    const it = await start();
    expect(statSync(join(it.folder, "hipd.sock")).mode & 0o777).toBe(0o660);
    await expect(start({ folder: it.folder })).rejects.toThrow(/hipd.sock: another hipd answers/);
    await it.daemon.stop();
    expect(() => statSync(join(it.folder, "hipd.sock"))).toThrow(/ENOENT/);
  });

  test("events reach a subscriber as they happen", async () => {
    const it = await start();
    const seen: string[] = [];
    const stream = it.client.stream<{ name: string }>("WatchEvents", {}, (event) => seen.push(event.name));
    await stream.started;
    await ask(it, "AddPeer", { name: "a", hit: HIT, locators: ["192.0.2.9"] });
    await it.client.call("Connect", { peer: "a", timeoutMillis: 50 });
    await expect.poll(() => seen.length).toBeGreaterThan(0);
    stream.cancel();
    expect(await stream.done).toMatchObject({ ok: false, error: { code: "cancelled" } });
  });
});

test("stopping takes less than two seconds with a peer that does not answer", async () => {
  const { a, medium } = await acquainted();
  await ask(a, "Connect", { peer: "b" });
  medium.planes.delete("192.0.2.2");
  const before = performance.now();
  await a.daemon.stop();
  expect(performance.now() - before).toBeLessThan(2_000);
  expect(a.network.plane.closed).toBe(true);
});
