/** Peers that stand in DNS (RFC 8005): found, and believed only as far as the answer deserves. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import { hipRdata } from "../../src/crypto/hip-record.ts";
import { readHipRecord } from "../../src/crypto/keyfile.ts";
import type { Background } from "../../tools/lab/shell.ts";
import type { FakeZone } from "./dns-host.ts";
import { type Pair, ping, suite, withPair } from "./support.ts";

const NAME = "b.example.org";
const SERVER = join(import.meta.dirname, "dns-host.ts");

interface World extends Pair {
  /** What the resolver says from now on. */
  publish(zone: Partial<FakeZone>): void;
  /** Starts the hipd that asks, with its resolver at this address. */
  ask(resolver: string): Promise<Background>;
  readonly rdata: string;
}

/** A host whose peer stands in DNS only; the peer knows it, but not where it is. */
async function withWorld(
  entry: (pair: Pair) => Readonly<Record<string, unknown>>,
  body: (world: World) => Promise<void>,
): Promise<void> {
  await withPair({ idle: true, strangers: true }, async (pair) => {
    const { lab, a, b, router } = pair;
    b.daemon.peers.push({ name: "a", hit: a.daemon.hit, locators: [] });
    await b.daemon.start();
    const exported = readHipRecord((await b.daemon.ctl("identity", "export")).stdout);
    if (!exported.ok) throw new Error(exported.error);
    const rdata = toHex(hipRdata(exported.value) ?? new Uint8Array(0));
    const zone = join(lab.folder, "zone.json");
    const publish = (said: Partial<FakeZone>): void => {
      const records = { [`${NAME} HIP`]: [rdata], [`${NAME} A`]: [b.ipv4] };
      writeFileSync(zone, JSON.stringify({ validated: true, records, ...said }));
    };
    publish({});
    a.daemon.config["dns"] = { dns_peers: true };
    a.daemon.peers.push({
      name: "b",
      dns: NAME,
      locators: [],
      ...entry(pair),
    } as (typeof a.daemon.peers)[number]);
    a.daemon.writeConfig();
    let server: Background | undefined;
    const ask = async (resolver: string): Promise<Background> => {
      const there = resolver === "127.0.0.1" ? a.daemon.namespace : router;
      server ??= there.spawn([process.execPath, SERVER, zone, resolver]);
      await server.line((line) => line.startsWith("listening"));
      const resolv = join(lab.folder, "resolv.conf");
      writeFileSync(resolv, `nameserver ${resolver}\n`);
      const etc = [
        "unshare",
        "--mount",
        "sh",
        "-ec",
        `mount --bind ${resolv} /etc/resolv.conf\nexec "$@"`,
        "sh",
      ];
      const hipd = a.daemon.namespace.spawn([...etc, ...a.daemon.command()]);
      await hipd.line((line) => line.includes('"event":"ready"'));
      return hipd;
    };
    await body({ ...pair, publish, ask, rdata });
  });
}

interface NamesJson {
  readonly peers: readonly unknown[];
  readonly counters: Readonly<Record<string, number>>;
}

const event = (name: string) => (line: string) => line.includes(`"event":"${name}"`);

suite("a peer in DNS", () => {
  it("without a configured HIT is who a validated record says, and talks", async () => {
    await withWorld(
      () => ({}),
      async ({ a, b, ask }) => {
        const hipd = await ask("127.0.0.1");
        await hipd.line(event("peer-dns-hit"));
        expect((await a.daemon.peer("b")).hit).toBe(b.daemon.hit);
        expect(await ping(a.daemon.namespace, b.daemon.hit)).toMatchObject({ received: 3 });
        const status = await a.daemon.json<NamesJson>("dns", "status");
        expect(status.peers).toMatchObject([{ peer: "b", name: NAME, state: "known", validated: true }]);
        expect((await a.daemon.ctl("dns", "status")).stdout).toContain("validated");
        await hipd.stop();
      },
    );
  });

  it("is nobody when the record is not validated, or the answers are forged", async () => {
    await withWorld(
      () => ({}),
      async ({ a, publish, ask }) => {
        publish({ validated: false });
        const hipd = await ask("127.0.0.1");
        await hipd.line(event("peer-dns-refused"));
        expect((await a.daemon.peer("b")).hit).toBeNull();
        const refused = await a.daemon.ctl("connect", "b");
        expect(refused.status).toBe(1);
        expect(refused.stderr).toContain("DNSSEC");
        await hipd.stop();

        publish({ forged: true });
        const again = await ask("127.0.0.1");
        const counted = async (): Promise<number> =>
          (await a.daemon.json<NamesJson>("dns", "status")).counters["client_mismatched"] ?? 0;
        while ((await counted()) === 0) await a.daemon.namespace.run(["sleep", "0.1"]);
        expect((await a.daemon.peer("b")).hit).toBeNull();
        await again.stop();
      },
    );
  });

  it("is nobody when a resolver elsewhere says that the record is validated", async () => {
    await withWorld(
      () => ({}),
      async ({ a, router, ask }) => {
        const gateway = (await router.run(["sh", "-c", "ip -o -4 addr show scope global | head -1"])).trim();
        const address = /inet ([0-9.]+)/.exec(gateway)?.[1] ?? "";
        const hipd = await ask(address);
        await hipd.line(event("peer-dns-refused"));
        expect((await a.daemon.peer("b")).hit).toBeNull();
        await hipd.stop();
      },
    );
  });

  it("with a configured HIT is found by DNS alone, and another HIT there is told and ignored", async () => {
    await withWorld(
      ({ b }) => ({ hit: b.daemon.hit }),
      async ({ a, b, publish, ask, rdata }) => {
        // A record whose HIT is not that of its key, and nothing validated.
        const flipped = rdata.slice(0, 38) + (rdata[38] === "0" ? "1" : "0") + rdata.slice(39);
        publish({ validated: false, records: { [`${NAME} HIP`]: [flipped], [`${NAME} A`]: [b.ipv4] } });
        const hipd = await ask("127.0.0.1");
        await hipd.line(event("peer-dns-locators"));
        expect(await ping(a.daemon.namespace, b.daemon.hit)).toMatchObject({ received: 3 });
        const { counters } = await a.daemon.json<NamesJson>("dns", "status");
        expect(counters["peers_badRecords"]).toBeGreaterThan(0);
        await hipd.stop();
      },
    );
  });
});
