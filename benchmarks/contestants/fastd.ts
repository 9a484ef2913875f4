/** fastd with the method that its documentation recommends. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../tools/lab/shell.ts";
import { INSIDE, installed, outside, tunnel } from "./tunnel.ts";

const PORT = 10000;
const DEVICE = "fastd0";

export const fastd = tunnel({
  name: "fastd",
  what: "fastd, salsa2012+umac",
  packages: ["fastd"],
  programs: ["fastd"],
  versionOption: "--version",
  device: DEVICE,
  // Packet type, flags and nonce (8), tag (16).
  overhead: 24,
  async prepare(_site, mtu) {
    const keys = { client: await makeKeys(), server: await makeKeys() };
    return async (end, other) => {
      const outer = other.address.includes(":") ? `ipv6 "${other.address}"` : `ipv4 ${other.address}`;
      const up = [`ip addr add ${INSIDE}.${end.number}/24 dev $INTERFACE`, "ip link set dev $INTERFACE up"];
      const lines = [
        ...["log level verbose;", "mode tun;", `interface "${DEVICE}";`, 'method "salsa2012+umac";'],
        ...[`mtu ${mtu};`, `bind ${outside(end, PORT)};`, `secret "${keys[end.side].secret}";`],
        `on up "${up.join(" && ")}";`,
        `peer "${other.side}" { key "${keys[other.side].open}"; remote ${outer} port ${PORT}; }`,
      ];
      const file = join(end.folder, "fastd.conf");
      writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 });
      const process = end.namespace.spawn([installed("fastd"), "--config", file]);
      await process.line((line) => line.includes("bound to"));
      return process;
    };
  },
});

async function makeKeys(): Promise<{ secret: string; open: string }> {
  const text = await run([installed("fastd"), "--generate-key"]);
  const [secret = "", open = ""] = [...text.matchAll(/[0-9a-f]{64}/g)].map((match) => match[0]);
  return { secret, open };
}
