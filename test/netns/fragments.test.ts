/** HIP packets that are larger than the path's MTU travel as IP fragments (RFC 7401 5.1.3). */
import { expect, it } from "vitest";
import { Capture } from "../../tools/lab/capture.ts";
import type { DaemonOptions } from "../../tools/lab/daemon.ts";
import { ping, suite, withPair } from "./support.ts";

/** R1 and I2 of such hosts have some 1700 bytes. */
const large: DaemonOptions = { kind: "rsa-4096", config: { protocol: { dh_groups: ["MODP-3072"] } } };

suite("HIP packets larger than the MTU", () => {
  it.each([
    ["ipv4", "udp"],
    ["ipv6", "udp"],
    ["ipv4", "none"],
    ["ipv6", "none"],
  ] as const)("complete the exchange over %s, encapsulation %s", async (family, carrier) => {
    await withPair({ family, carrier, daemonA: large, daemonB: large }, async ({ a, b, router }) => {
      const record = await Capture.start(router, "to-a");
      const connected = await a.daemon.ctl("connect", "b");
      expect(connected.status, connected.stderr).toBe(0);
      // R1 comes from b, I2 from a.
      const fragments = (await record.stop()).filter(({ fragment }) => fragment);
      const sources = new Set(fragments.map(({ source }) => source));
      expect(sources).toEqual(new Set([a[family], b[family]]));
      expect((await ping(b.daemon.namespace, a.daemon.hit)).received).toBe(3);
    });
  });
});
