/** Two daemons under traffic, watched by a real Prometheus: every expression of dashboards and alerts, and alerts that fire. */
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { Daemon } from "../../tools/lab/daemon.ts";
import { MISSING, Prometheus, prometheusProgram } from "../../tools/lab/prometheus.ts";
import { type Pair, suite, withPair } from "./support.ts";

const ROOT = join(import.meta.dirname, "../..");
const DASHBOARDS = ["hipd-fleet", "hipd-host"];
const METRICS = {
  config: { metrics: { listen: "0.0.0.0:9510" }, locators: { probe_interval: "500ms" } },
};
const BLOCK = `table inet block {
  chain forward {
    type filter hook forward priority 0;
    udp dport 10500 drop
  }
}`;

interface Shown {
  readonly title: string;
  readonly expr: string;
}

/** Every expression of a dashboard, as Grafana would send it. */
function shown(name: string): readonly Shown[] {
  interface Panel {
    readonly title: string;
    readonly targets?: readonly { readonly expr: string }[];
  }
  const { panels } = JSON.parse(readFileSync(join(ROOT, "deploy/grafana", `${name}.json`), "utf8")) as {
    readonly panels: readonly Panel[];
  };
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({
      title,
      expr: expr
        .replaceAll("$__rate_interval", "10s")
        .replaceAll("$job", "hipd")
        .replaceAll("$instance", "a"),
    })),
  );
}

/** Nothing may be what they show: trouble that there is not. */
const FILTERED = /(?:[=!]= ?\d|> 0\b)/;

async function firing(prometheus: Prometheus, alert: string): Promise<Readonly<Record<string, string>>> {
  return vi.waitFor(
    async () => {
      const found = (await prometheus.alerts()).find(
        ({ labels, state }) => labels["alertname"] === alert && state === "firing",
      );
      if (found === undefined) throw new Error(`${alert} does not fire`);
      return { ...found.labels, summary: found.annotations["summary"] ?? "" };
    },
    { timeout: 30_000, interval: 300 },
  );
}

/** The key of `a` in another machine. */
async function cloneOf({ lab, router, a, b }: Pair): Promise<Daemon> {
  const namespace = await lab.namespace("c");
  await lab.link(
    { namespace, device: "eth0", addresses: ["198.51.100.2/30"] },
    { namespace: router, device: "to-c", addresses: ["198.51.100.1/30"] },
  );
  await namespace.ip(["route add default via 198.51.100.1"]);
  const clone = new Daemon(lab, namespace);
  cpSync(a.daemon.keyFile, clone.keyFile);
  clone.peers.push({ name: "b", hit: b.daemon.hit, locators: [b.ipv4] });
  return clone;
}

suite("a real Prometheus", () => {
  it.skipIf(prometheusProgram("prometheus") === undefined)(
    `queries every panel, and tells of a clone, a peer that is not reached, and a daemon that is down${prometheusProgram("prometheus") === undefined ? ` (${MISSING})` : ""}`,
    async () => {
      await withPair({ daemonA: METRICS, daemonB: METRICS }, async (pair) => {
        const { lab, a, b, router } = pair;
        const targets = { a: `${a.ipv4}:9510`, b: `${b.ipv4}:9510` };
        const prometheus = await Prometheus.start(router, join(lab.folder, "prometheus"), targets, 1);
        const [here, there] = await Promise.all([a.daemon.namespace.agent(), b.daemon.namespace.agent()]);
        await here.stream("steady", b.daemon.hit, await there.serveUdp(), "x");
        await vi.waitFor(
          async () => {
            const rates = await prometheus.query("rate(hipd_esp_packets_total[10s]) > 50");
            expect(rates.map(({ metric }) => `${metric["instance"]} ${metric["direction"]}`).sort()).toEqual([
              "a rx",
              "a tx",
              "b rx",
              "b tx",
            ]);
            expect(await prometheus.query("hipd_peer_rtt_seconds > 0")).not.toEqual([]);
          },
          { timeout: 20_000, interval: 500 },
        );
        for (const { title, expr } of DASHBOARDS.flatMap(shown)) {
          const series = await prometheus.query(expr);
          if (!FILTERED.test(expr)) expect(series, `${title}: ${expr}`).not.toEqual([]);
        }
        expect(await prometheus.query('hipd_peer_up{instance="a", peer="b"} == 1')).toHaveLength(1);
        expect(await prometheus.brokenRules()).toEqual([]);
        expect(await prometheus.alerts()).toEqual([]);

        const clone = await cloneOf(pair);
        await clone.start();
        const called = clone.ctl("connect", "b");
        const cloned = await firing(prometheus, "HipdCloneDetected");
        expect(cloned["summary"]).toMatch(/^[ab] found two hosts with one identity$/);
        await clone.stop();
        await called;

        await router.nft(BLOCK);
        const unreachable = await firing(prometheus, "HipdPeerUnreachable");
        expect(unreachable).toMatchObject({ instance: expect.stringMatching(/^[ab]$/), severity: "warning" });
        await router.nft("delete table inet block");
        await here.answered("steady");
        await vi.waitFor(
          async () =>
            expect((await prometheus.alerts()).map(({ labels }) => labels["alertname"])).not.toContain(
              "HipdPeerUnreachable",
            ),
          { timeout: 20_000, interval: 300 },
        );
        await here.stop("steady");

        await b.daemon.stop();
        expect(await firing(prometheus, "HipdDown")).toMatchObject({ instance: "b", severity: "critical" });
        await prometheus.stop();
      });
    },
    120_000,
  );
});
