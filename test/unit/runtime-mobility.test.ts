/** A whole daemon around a data plane in memory: locators, the cloud's metadata, and associations that outlive it. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { loadConfig } from "../../src/runtime/config-file.ts";
import { ControlClient } from "../../src/runtime/control-client.ts";
import { Daemon } from "../../src/runtime/daemon.ts";
import { METADATA_PLACES } from "../../src/runtime/metadata/poller.ts";
import { serviceManager } from "../../src/runtime/systemd.ts";
import { localAddress } from "../support/overlay.ts";
import { FakeNetwork, Medium, memoryLog, temporaryFolder } from "../support/runtime.ts";

const BASE = '[state]\ndirectory = "state"\n[control]\nsocket = "hipd.sock"\n';

interface Running {
  readonly folder: string;
  readonly daemon: Daemon;
  readonly network: FakeNetwork;
  ask<T>(method: string, request?: unknown): Promise<T>;
}

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanup.splice(0).reverse()) await end();
});

async function start(
  address: string,
  medium: Medium,
  options: { folder?: string; text?: string; metadataUrl?: string } = {},
): Promise<Running> {
  const folder = options.folder ?? temporaryFolder();
  const file = join(folder, "hipd.toml");
  writeFileSync(file, options.text ?? BASE);
  const config = loadConfig(file);
  if (!config.ok) throw new Error(JSON.stringify(config.error));
  const network = new FakeNetwork(address, medium);
  const service = serviceManager({}, undefined);
  const { log } = memoryLog();
  const url = options.metadataUrl;
  const places = {
    ...METADATA_PLACES,
    url: url ?? "",
    dmi: "/nowhere",
    configDrive: { mounts: "", root: "" },
  };
  const started = await Daemon.start({
    config: config.value,
    network,
    log,
    service,
    version: "1",
    ...(url === undefined ? {} : { metadata: places }),
  });
  if (!started.ok) throw new Error(started.error.messages.join("\n"));
  const daemon = started.value;
  cleanup.push(() => daemon.stop());
  const opened = ControlClient.open(join(folder, "hipd.sock"));
  if (!opened.ok) throw new Error(opened.error.message);
  const client = opened.value;
  cleanup.push(() => client.close());
  const ask = async <T>(method: string, request: unknown = {}): Promise<T> => {
    const answer = await client.call<T>(method, request);
    if (!answer.ok) throw new Error(answer.error.message);
    return answer.value;
  };
  return { folder, daemon, network, ask };
}

interface Status {
  readonly self: { readonly hit: string };
  readonly peers: readonly {
    readonly name: string;
    readonly state: string;
    readonly path: { remote: string } | null;
  }[];
}
interface List {
  readonly own: readonly { readonly address: string; readonly source: string }[];
}

const hitOf = async (of: Running): Promise<string> => (await of.ask<Status>("GetStatus")).self.hit;
const own = async (of: Running): Promise<readonly string[]> =>
  (await of.ask<List>("ListLocators")).own.map(({ address, source }) => `${source} ${address}`);

/** Both know each other, `b` perhaps not where `a` is, and have an association. */
async function couple(a: Running, b: Running, knownToB: readonly string[]): Promise<void> {
  await a.ask("AddPeer", { name: "b", hit: await hitOf(b), locators: ["192.0.2.2"], keep: true });
  await b.ask("AddPeer", { name: "a", hit: await hitOf(a), locators: knownToB, keep: true });
  await a.ask("Connect", { peer: "b" });
}

const stateOf = async (of: Running): Promise<string | undefined> =>
  (await of.ask<Status>("GetStatus")).peers[0]?.state;

test("the configuration of locators follows a reload", async () => {
  const it = await start("10.0.0.5", new Medium());
  await expect.poll(() => own(it)).toEqual(["host 10.0.0.5:10500"]);
  const text = `${BASE}[locators]\nadvertise = ["203.0.113.5"]\nexclude_addresses = ["10.0.0.0/8"]\n`;
  writeFileSync(join(it.folder, "hipd.toml"), text);
  expect(await it.ask("Reload")).toMatchObject({ locators: true, host: false, needsRestart: [] });
  expect(await own(it)).toEqual(["static 203.0.113.5:10500", "host 10.0.0.5:10500"]);
  expect((await it.ask<{ own: unknown[] }>("ListLocators")).own[1]).toMatchObject({
    state: "left-out",
    reason: "excluded by exclude_addresses",
  });
  expect(await it.ask("Reload")).toMatchObject({ locators: false });
});

test("what the metadata service says becomes a locator, and goes when the service is turned off", async () => {
  const server: Server = createServer((request, response) => {
    if (request.url === "/latest/meta-data/public-ipv4") response.end("203.0.113.9");
    else if (request.url === "/latest/meta-data/instance-id") response.end("i-7");
    else {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanup.push(() => server.close());
  const metadataUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const on = `${BASE}[metrics]\nlisten = "127.0.0.1:0"\n[locators]\nmetadata = "openstack"\n`;
  const it = await start("10.0.0.5", new Medium(), { metadataUrl, text: on });
  await expect.poll(() => own(it)).toEqual(["host 10.0.0.5:10500", "cloud 203.0.113.9:10500"]);
  const page = await (await fetch(`http://127.0.0.1:${it.daemon.metricsPort}/metrics`)).text();
  expect(page).toContain("hipd_metadata_changes_total 1");
  expect(page).toContain('hipd_locators{side="own",state="cloud"} 1');
  expect(page).toContain('hipd_locators{side="peer",state="ACTIVE"} 0');
  expect(page).toContain("hipd_handover_seconds_count 0");
  expect(page).toContain("hipd_verification_failures_total 0");
  expect(page).toContain("hipd_credit_bytes_total 0");
  writeFileSync(join(it.folder, "hipd.toml"), on.replace("openstack", "off"));
  await it.ask("Reload");
  expect(await own(it)).toEqual(["host 10.0.0.5:10500"]);
});

test("a daemon that starts again calls the peers that it had, wherever it is now", async () => {
  const medium = new Medium();
  const a = await start("192.0.2.1", medium);
  const b = await start("192.0.2.2", medium);
  await couple(a, b, ["192.0.2.1"]);
  const file = join(a.folder, "state/state.json");
  await expect.poll(() => JSON.parse(readFileSync(file, "utf8")).associations).toHaveLength(1);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  await a.daemon.stop();
  expect(JSON.parse(readFileSync(file, "utf8")).associations).toHaveLength(1);
  // Nobody asks for it: no packet, no command.
  const again = await start("192.0.2.77", medium, { folder: a.folder });
  await expect.poll(() => stateOf(again)).toMatch(/ESTABLISHED|R2-SENT/);
  await expect
    .poll(async () => (await b.ask<Status>("GetStatus")).peers[0]?.path?.remote)
    .toBe("192.0.2.77:10500");
});

test("a peer whose address nobody configured is called where it was last", async () => {
  const medium = new Medium();
  const a = await start("192.0.2.1", medium);
  const b = await start("192.0.2.2", medium);
  await couple(a, b, []);
  const file = join(b.folder, "state/state.json");
  await expect
    .poll(() => JSON.parse(readFileSync(file, "utf8")).associations?.[0]?.[1])
    .toEqual([["192.0.2.1", 10500]]);
  await b.daemon.stop();
  const again = await start("192.0.2.2", medium, { folder: b.folder });
  await expect.poll(() => stateOf(again)).toMatch(/ESTABLISHED|R2-SENT/);
});

test("a host that moves takes its association along", async () => {
  const medium = new Medium();
  const a = await start("192.0.2.1", medium);
  const b = await start("192.0.2.2", medium);
  await couple(a, b, ["192.0.2.1"]);
  // The same plane, now at another address.
  medium.planes.set("192.0.2.99", a.network.plane);
  Object.assign(a.network.plane, { address: "192.0.2.99" });
  a.network.plane.deliver({ type: "addresses", local: [localAddress("192.0.2.99")] });
  await expect
    .poll(async () => (await b.ask<Status>("GetStatus")).peers[0]?.path?.remote, { timeout: 5000 })
    .toBe("192.0.2.99:10500");
  expect(await own(a)).toEqual(["host 192.0.2.99:10500"]);
});
