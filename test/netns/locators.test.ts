/** Public addresses that a machine cannot see: the cloud's metadata service tells of a floating IP, and peers reach it there. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Side } from "../../tools/lab/daemon.ts";
import { type Pair, ping, suite, withPair } from "./support.ts";

const FLOATING = "198.51.100.7";
const OTHER = "198.51.100.8";

/** A metadata service that reads its one answer from a file each time. */
const SERVER = `
const { createServer } = require("node:http");
const { readFileSync } = require("node:fs");
createServer((request, response) => {
  if (request.url === "/openstack/latest/meta_data.json") response.end('{"uuid":"d8e02d56-2648-49a3"}');
  else if (request.url === "/latest/meta-data/public-ipv4") response.end(readFileSync(process.argv[1]));
  else response.writeHead(404).end();
}).listen(80, "169.254.169.254", () => console.log("listening"));
`;

/** The router is the cloud: it has the metadata service, and translates floating IPs to the first host. */
async function cloud({ lab, router, a }: Pair): Promise<(address: string) => void> {
  const file = join(lab.folder, "public-ipv4");
  const set = (address: string): void => writeFileSync(file, address);
  set(FLOATING);
  await router.ip(["addr add 169.254.169.254/32 dev lo"]);
  await router.nft(`table ip floating {
    chain in { type nat hook prerouting priority -100; ip daddr { ${FLOATING}, ${OTHER} } dnat to ${a.ipv4}; }
  }`);
  await router.spawn([process.execPath, "-e", SERVER, file]).line((line) => line === "listening");
  return set;
}

interface Locators {
  readonly own: readonly {
    readonly address: string;
    readonly source: string;
    readonly interface: string | null;
  }[];
  readonly peers: readonly {
    readonly locators: readonly { readonly address: string; readonly state: string }[];
  }[];
}

async function peerLocators(of: Side, peer: string): Promise<Readonly<Record<string, string>>> {
  const { peers } = await of.daemon.json<Locators>("locator", "list", peer);
  return Object.fromEntries((peers[0]?.locators ?? []).map(({ address, state }) => [address, state]));
}

suite("floating addresses", () => {
  it("are learned from the metadata service, verified by peers, and change", async () => {
    const config = { locators: { metadata: "openstack", metadata_interval: "5s" } };
    await withPair({ idle: true, daemonA: { config } }, async (pair) => {
      const { a, b } = pair;
      const attach = await cloud(pair);
      await Promise.all([a.daemon.start(), b.daemon.start()]);
      await a.daemon.event("own-locators", ({ locators }) => String(locators).includes(FLOATING));
      expect(await a.daemon.event("cloud-metadata")).toMatchObject({ instance: "d8e02d56-2648-49a3" });
      const { own } = await a.daemon.json<Locators>("locator", "list");
      expect(own.map(({ address, source }) => `${source} ${address}`)).toEqual([
        `host [${a.ipv6}]:10500`,
        `host ${a.ipv4}:10500`,
        `cloud ${FLOATING}:10500`,
      ]);

      expect((await b.daemon.ctl("connect", "a")).status).toBe(0);
      await expect
        .poll(() => peerLocators(b, "a"), { timeout: 10_000 })
        .toMatchObject({ [`${FLOATING}:10500`]: "ACTIVE" });
      const moved = await b.daemon.ctl("handover", "a", "--to", FLOATING);
      expect(moved.stdout + moved.stderr).toMatch(new RegExp(`^a moved to udp .* > ${FLOATING}:10500 in `));
      expect((await ping(b.daemon.namespace, a.daemon.hit)).received).toBeGreaterThan(0);

      attach(OTHER);
      await expect
        .poll(() => peerLocators(b, "a"), { timeout: 20_000 })
        .toMatchObject({ [`${OTHER}:10500`]: "ACTIVE" });
      expect((await peerLocators(b, "a"))[`${FLOATING}:10500`]).not.toBe("ACTIVE");
    });
  });

  it("cost nothing when nobody answers: the daemon starts as fast, and says why", async () => {
    await withPair({ daemonA: { config: { locators: { metadata: "aws" } } } }, async ({ a, b }) => {
      const told = await a.daemon.event("metadata-unreachable");
      expect(told).toMatchObject({ cloud: "aws", level: "warn" });
      expect((await b.daemon.ctl("connect", "a")).status).toBe(0);
    });
  });
});
