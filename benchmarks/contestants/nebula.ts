/** Nebula with static hosts, no lighthouse. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../tools/lab/shell.ts";
import { INSIDE, installed, outside, tunnel } from "./tunnel.ts";

const PORT = 4242;
const DEVICE = "nebula0";

export const nebula = tunnel({
  name: "nebula",
  what: "Nebula, AES-256-GCM",
  packages: ["nebula"],
  programs: ["nebula", "nebula-cert"],
  versionOption: "-version",
  device: DEVICE,
  // Header (16) and tag (16).
  overhead: 32,
  async prepare(site, mtu) {
    const authority = join(site.server.folder, "ca");
    const ca = ["-out-crt", `${authority}.crt`, "-out-key", `${authority}.key`];
    await run(["nebula-cert", "ca", "-name", "bench", ...ca]);
    return async (end, other) => {
      const own = join(end.folder, "nebula");
      const name = ["-name", end.side, "-ip", `${INSIDE}.${end.number}/24`];
      const signer = ["-ca-crt", `${authority}.crt`, "-ca-key", `${authority}.key`];
      const out = ["-out-crt", `${own}.crt`, "-out-key", `${own}.key`];
      await run(["nebula-cert", "sign", ...name, ...signer, ...out]);
      const any = [{ port: "any", proto: "any", host: "any" }];
      // JSON is YAML.
      const config = {
        pki: { ca: `${authority}.crt`, cert: `${own}.crt`, key: `${own}.key` },
        static_host_map: { [`${INSIDE}.${other.number}`]: [outside(other, PORT)] },
        lighthouse: { am_lighthouse: false, hosts: [] },
        listen: { host: "::", port: PORT, batch: 64, read_buffer: 10485760, write_buffer: 10485760 },
        punchy: { punch: false },
        tun: { dev: DEVICE, mtu, tx_queue: 1000 },
        firewall: { outbound: any, inbound: any },
      };
      writeFileSync(`${own}.yml`, JSON.stringify(config));
      const process = end.namespace.spawn([installed("nebula"), "-config", `${own}.yml`]);
      await process.line((line) => line.includes("Nebula interface is active"));
      return process;
    };
  },
});
