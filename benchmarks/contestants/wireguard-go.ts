/** WireGuard in user space. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../tools/lab/shell.ts";
import type { End, Site } from "../site.ts";
import { type Contestant, firstVersion, lacks, type Running } from "./contestant.ts";
import { INSIDE, installed, outside, tunnelMtu, tunnelOf } from "./tunnel.ts";

const PORT = 51820;
/** Type, receiver, counter and tag; inner packets are padded to multiples of 16. */
const OVERHEAD = 32;

let made = 0;

export const wireguardGo: Contestant = {
  name: "wireguard-go",
  what: "wireguard-go, ChaCha20-Poly1305",
  carries: "packets",
  packages: ["wireguard-go", "wireguard-tools"],
  missing: () => lacks("wireguard-go", "wg"),
  version: () => firstVersion("wireguard-go", "--version"),
  start,
};

async function start(site: Site): Promise<Running> {
  const ends = [site.client, site.server];
  const keys = await Promise.all(
    ends.map(async () => {
      const own = (await run(["wg", "genkey"])).trim();
      return { own, open: (await run(["wg", "pubkey"], { input: `${own}\n` })).trim() };
    }),
  );
  // The control socket is named by the device and lies in a folder that namespaces share.
  const devices = ends.map(() => `wg${process.pid % 1_000_000}-${made++}`.slice(0, 15));
  const processes = ends.map((end, i) =>
    end.namespace.spawn([installed("wireguard-go"), "-f", devices[i] as string], {
      env: { LOG_LEVEL: "verbose" },
    }),
  );
  for (const [i, end] of ends.entries()) {
    await processes[i]?.line((line) => line.includes("UAPI listener started"));
    const other = 1 - i;
    const device = devices[i] as string;
    const file = join(end.folder, "wg.conf");
    const lines = [
      ...["[Interface]", `PrivateKey = ${keys[i]?.own}`, `ListenPort = ${PORT}`],
      ...["[Peer]", `PublicKey = ${keys[other]?.open}`, `AllowedIPs = ${INSIDE}.0/24`],
      `Endpoint = ${outside(ends[other] as End, PORT)}`,
    ];
    writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 });
    await end.namespace.run(["wg", "setconf", device, file]);
    await end.namespace.ip([
      `addr add ${INSIDE}.${end.number}/24 dev ${device}`,
      `link set dev ${device} mtu ${tunnelMtu(site, OVERHEAD)} up`,
    ]);
  }
  return {
    ...tunnelOf(wireguardGo, devices[0] as string, processes),
    // The peer follows valid packets. But Debian's version keeps sending from the old address on kernels that refuse it with
    // ENETUNREACH; setting the endpoint anew, as scripts for moving hosts do, ends that.
    async move(end) {
      const i = ends.indexOf(end);
      const peer = ["peer", keys[1 - i]?.open ?? "", "endpoint", outside(ends[1 - i] as End, PORT)];
      await end.namespace.run(["wg", "set", devices[i] as string, ...peer]);
    },
  };
}
