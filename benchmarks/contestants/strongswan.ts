/** strongSwan with its user-space ESP (kernel-libipsec): IKEv2, AES-128-GCM, tunnel mode over UDP. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, type Background } from "../../tools/lab/shell.ts";
import type { End } from "../site.ts";
import { INSIDE, installed, tunnel } from "./tunnel.ts";

const CHARON = "/usr/lib/ipsec/charon";
const PLUGIN = "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so";
const DEVICE = "ipsec0";
/** It reads its device into a buffer of this size: larger packets arrive cut. */
const MAX_MTU = 1400;
const READY_MILLIS = 10_000;
const PLUGINS =
  "random nonce openssl aes gcm hmac kdf sha1 sha2 curve25519 x509 pubkey pem pkcs1 kernel-libipsec kernel-netlink socket-default vici";

export const strongswan = tunnel({
  name: "strongswan",
  what: "strongSwan with libipsec, AES-128-GCM",
  packages: [
    "strongswan-charon",
    "strongswan-swanctl",
    "libcharon-extra-plugins",
    "libstrongswan-extra-plugins",
  ],
  programs: ["swanctl", CHARON],
  versionOption: "--version",
  alsoMissing: () =>
    existsSync(PLUGIN) ? undefined : "its kernel-libipsec plugin is not installed (make bench-peers)",
  device: DEVICE,
  // SPI and sequence number (8), IV (8), padding and trailer (up to 5), tag (16).
  overhead: 40,
  prepare: async (_site, mtu) => (end, other) => launch(end, other, Math.min(MAX_MTU, mtu)),
});

async function launch(end: End, other: End, mtu: number): Promise<Background> {
  const socket = `unix://${join(end.folder, "vici")}`;
  const settings = join(end.folder, "strongswan.conf");
  writeFileSync(
    settings,
    `charon {
  load = ${PLUGINS}
  plugins { vici { socket = ${socket} } kernel-libipsec { load = yes } }
}
swanctl { load = pem pkcs1 x509 openssl random }
`,
  );
  const folder = join(end.folder, "swanctl");
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "swanctl.conf"),
    `connections { bench {
  version = 2
  encap = yes
  local_addrs = ${end.address}
  remote_addrs = ${other.address}
  proposals = aes128gcm16-prfsha256-ecp256
  local {
    auth = psk
    id = ${end.side}
  }
  remote {
    auth = psk
    id = ${other.side}
  }
  children { bench {
    local_ts = ${INSIDE}.${end.number}/32
    remote_ts = ${INSIDE}.${other.number}/32
    esp_proposals = aes128gcm16
  } }
} }
secrets { ike { secret = "only for this benchmark" } }
`,
  );
  await end.namespace.ip([`addr add ${INSIDE}.${end.number}/32 dev lo`]);
  // Its files in /run have fixed names: each gets a /run of its own, which only this namespace sees.
  const charon = end.namespace.spawn(["sh", "-c", `mount -t tmpfs tmpfs /run && exec ${CHARON}`], {
    env: { STRONGSWAN_CONF: settings },
  });
  await appears(join(end.folder, "vici"), charon);
  const env = { STRONGSWAN_CONF: settings, SWANCTL_DIR: folder };
  await control(end, ["--load-all", "--noprompt", "--uri", socket], env);
  await end.namespace.ip([`link set dev ${DEVICE} mtu ${mtu} txqueuelen 1000`]);
  if (end.side === "client")
    await control(end, ["--initiate", "--child", "bench", "--timeout", "10", "--uri", socket], env);
  return charon;
}

/** Waits for the control socket of charon, which says nothing when it is ready. */
async function appears(file: string, charon: Background): Promise<void> {
  const end = performance.now() + READY_MILLIS;
  while (!existsSync(file)) {
    if (!charon.running || performance.now() > end) {
      throw new Error(`charon is not ready: ${charon.err.join("\n")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function control(end: End, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const done = await attempt(end.namespace.inside([installed("swanctl"), ...args]), {
    env,
    timeoutMillis: 20_000,
  });
  if (done.status !== 0) throw new Error(`swanctl ${args[0]}: ${(done.stdout + done.stderr).slice(-600)}`);
}
