/** The composition for names: what is answered, written and told, and undone when hipd stops, with a fake machine around it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ok } from "../../src/core/types.ts";
import type { ControlReply, ControlRequest } from "../../src/overlay/control.ts";
import { loadConfig } from "../../src/runtime/config-file.ts";
import { Names } from "../../src/runtime/dns/names.ts";
import { askUdp, FakeDns, query } from "../support/dns.ts";
import { peerConfig } from "../support/overlay.ts";

const HIT = "2001:22::7";
let folder: string;
let hosts: string;
const running: Names[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "names-"));
  hosts = join(folder, "hosts");
  writeFileSync(hosts, "127.0.0.1 localhost\n");
});
afterEach(async () => {
  for (const one of running.splice(0)) await one.stop(true);
  rmSync(folder, { recursive: true });
});

function configOf(toml: string) {
  const file = join(folder, "hipd.toml");
  writeFileSync(file, toml);
  const loaded = loadConfig(file);
  if (!loaded.ok) throw new Error(loaded.error.map(({ message }) => message).join("\n"));
  return loaded.value;
}

function names(toml: string, resolver = 1, peers = ["bob"]) {
  const asked: ControlRequest[] = [];
  const log: string[] = [];
  const say = (event: string): void => void log.push(event);
  const reply = (request: ControlRequest): ControlReply => {
    if (request.type === "dns-peers")
      return { type: "dns-peers", peers: [{ peer: "vm", name: "vm.example.org" }] };
    if (request.type === "status") {
      const self = { hit: "2001:22::1", lsi: "198.18.0.1" };
      const views = peers.map((name) => ({ ...peerConfig(name, undefined), lsi: "198.18.0.7", hit: HIT }));
      return { type: "status", self, peers: views } as unknown as ControlReply;
    }
    if (request.type !== "name-query") return { type: "noted" };
    return { type: "name-answer", answer: { code: "NXDOMAIN", answers: [], authority: [] } };
  };
  const made = new Names({
    config: configOf(toml),
    log: { debug: say, info: say, warn: say, error: say, setLevel: () => undefined },
    places: {
      hosts,
      run: async () => ok(""),
      resolver: { servers: () => ["127.0.0.1"], port: resolver, answerMillis: 300 },
    },
    lsi: "127.0.0.1",
    hits: () => ["2001:22::1"],
    request: (request, answer) => {
      asked.push(request);
      answer(reply(request));
    },
  });
  running.push(made);
  return { made, asked, log };
}

describe("the responder", () => {
  it("listens on a high port where 53 is not to be had, and passes questions to the overlay in lower case", async () => {
    const { made, asked, log } = names('[dns]\nlisten = "127.0.0.1:15353"\n');
    const status = await made.status();
    expect(status).toMatchObject({ listen: "127.0.0.1:15353", domain: "hip", dnsPeers: false });
    expect(log).toContain("names-served");
    const answer = await askUdp(query("NoBody.hip", "A"), "127.0.0.1", 15353);
    expect(answer?.rcode).toBe("NXDOMAIN");
    expect(asked).toContainEqual({ type: "name-query", name: "nobody.hip", kind: 1 });
    expect((await made.status()).counters["queries_nxdomain"]).toBe(1);
  });

  it("that cannot listen, or shall not, says why and holds nobody up", async () => {
    const taken = names('[dns]\nlisten = "127.0.0.1:15354"\n');
    await taken.made.settled;
    const second = names('[dns]\nlisten = "127.0.0.1:15354"\n');
    expect(await second.made.status()).toMatchObject({
      listen: null,
      listenReason: "127.0.0.1:15354: the address is in use already",
    });
    expect(second.log).toContain("names-not-served");
    const off = names('[dns]\nlisten = "off"\n');
    expect((await off.made.status()).listenReason).toContain("off");
  });
});

describe("the file of hosts", () => {
  it("has the names of peers and this host while hipd runs, and none of them afterwards", async () => {
    const { made } = names('[dns]\nlisten = "off"\nhosts_file = true\nname = "me"\ndomain = "lab"\n');
    await vi.waitFor(() =>
      expect(readFileSync(hosts, "utf8")).toContain("198.18.0.7\tbob.lab\n2001:22::7\tbob.lab\n"),
    );
    expect(readFileSync(hosts, "utf8")).toContain("198.18.0.1\tme.lab\n");
    expect((await made.status()).hosts).toContain("2 names");
    await made.stop(false);
    expect(readFileSync(hosts, "utf8")).toBe("127.0.0.1 localhost\n");
  });

  it("keeps them for a successor that takes over", async () => {
    const { made } = names('[dns]\nlisten = "off"\nhosts_file = true\n');
    await vi.waitFor(() => expect(readFileSync(hosts, "utf8")).toContain("bob.hip"));
    await made.stop(true);
    expect(readFileSync(hosts, "utf8")).toContain("bob.hip");
  });

  it("loses them when a reload says so", async () => {
    const { made } = names('[dns]\nlisten = "off"\nhosts_file = true\n');
    await vi.waitFor(() => expect(readFileSync(hosts, "utf8")).toContain("bob.hip"));
    made.configure(configOf('[dns]\nlisten = "off"\n'));
    await vi.waitFor(() => expect(readFileSync(hosts, "utf8")).toBe("127.0.0.1 localhost\n"));
  });

  it("has no more names than its limit, and the status says how many are left out", async () => {
    const many = Array.from({ length: 2_010 }, (_, n) => `p${n}`);
    const { made } = names('[dns]\nlisten = "off"\nhosts_file = true\nname = "p0"\n', 1, many);
    await vi.waitFor(() => expect(readFileSync(hosts, "utf8")).toContain("p1999.hip"));
    expect(readFileSync(hosts, "utf8")).not.toContain("p2000.hip");
    expect((await made.status()).hosts).toContain("10 more do not fit");
  });

  it("that cannot be written is told once", async () => {
    rmSync(hosts);
    const { made, log } = names('[dns]\nlisten = "off"\nhosts_file = true\n');
    await vi.waitFor(() => expect(log).toContain("hosts-not-written"));
    made.changed();
    await vi.waitFor(async () => expect((await made.status()).hosts).toContain("no such file"));
    expect(log.filter((event) => event === "hosts-not-written")).toHaveLength(1);
  });
});

describe("peers in DNS", () => {
  it("are looked up when that is switched on, and the overlay is told", async () => {
    const server = await FakeDns.open(({ type }) =>
      type === "A"
        ? { answers: [{ name: "vm.example.org", type: "A", class: "IN", ttl: 9, data: "192.0.2.1" }] }
        : {},
    );
    const { made, asked } = names('[dns]\nlisten = "off"\ndns_peers = true\n', server.port);
    await vi.waitFor(() => expect(asked.map(({ type }) => type)).toContain("dns-facts"));
    const [told] = asked.filter((one) => one.type === "dns-facts");
    expect(told).toMatchObject({ peer: "vm", facts: { name: "vm.example.org", addresses: ["192.0.2.1"] } });
    expect((await made.status()).peers).toMatchObject([
      { peer: "vm", state: "known", addresses: ["192.0.2.1"] },
    ]);
    made.configure(configOf('[dns]\nlisten = "off"\n'));
    await vi.waitFor(async () => expect((await made.status()).peers).toEqual([]));
    server.close();
  });
});

describe("the configuration", () => {
  const wrong = (toml: string): string => {
    const file = join(folder, "hipd.toml");
    writeFileSync(file, toml);
    const loaded = loadConfig(file);
    return loaded.ok ? "" : loaded.error.map(({ message }) => message).join("\n");
  };

  it("a peer without a HIT needs a name in DNS and dns_peers, or opportunistic mode", () => {
    const peer = '[[peer]]\nname = "vm"\ndns = "vm.example.org"\n';
    expect(wrong(peer)).toContain("dns_peers = true");
    expect(wrong(`[dns]\ndns_peers = true\n${peer}`)).toBe("");
    expect(wrong('[dns]\ndns_peers = true\n[[peer]]\nname = "vm.example.org"\n')).toContain("no hit");
  });

  it("a peer's name in DNS is not below our own domain", () => {
    expect(wrong(`[[peer]]\nname = "vm"\nhit = "${HIT}"\ndns = "vm.hip"\n`)).toContain("our own");
    expect(wrong(`[dns]\ndomain = "lab"\n[[peer]]\nname = "vm"\nhit = "${HIT}"\ndns = "vm.hip"\n`)).toBe("");
  });

  it("nobody else may ask", () => {
    expect(wrong('[dns]\nlisten = "0.0.0.0:53"\n')).toContain("only this host may ask");
  });
});
