/** The root of a Debian 12 machine, made by debootstrap once and kept. Machines only read it. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { attempt } from "./shell.ts";

const FOLDER = join(import.meta.dirname, "../../.cache/systemd");
const SUITE = "bookworm";
const MIRROR = process.env["HIPD_MIRROR"] ?? "http://deb.debian.org/debian";
/** What a server has; nothing of hipd, and nothing that starts by itself and talks. */
const PACKAGES = [
  "systemd",
  "systemd-sysv",
  "dbus",
  "iproute2",
  "iputils-ping",
  "procps",
  "nftables",
  "libstdc++6",
  "libatomic1",
];
const MINUTES = 8;

function place(): string {
  const contents = createHash("sha256")
    .update(`${SUITE} ${PACKAGES.join(" ")}`)
    .digest("hex")
    .slice(0, 8);
  return join(FOLDER, `${SUITE}-${contents}`);
}

/** Whether there is one already. */
export function haveRoot(): boolean {
  return existsSync(place());
}

/** Its folder, or what went wrong. */
export async function debianRoot(): Promise<string> {
  const root = place();
  if (existsSync(root)) return root;
  mkdirSync(FOLDER, { recursive: true });
  for (const name of readdirSync(FOLDER)) {
    const pid = /\.(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(FOLDER, name), { recursive: true });
  }
  const part = `${root}.${process.pid}`;
  const done = await attempt(
    ["debootstrap", "--variant=minbase", `--include=${PACKAGES.join(",")}`, SUITE, part, MIRROR],
    { timeoutMillis: MINUTES * 60_000, env: { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` } },
  );
  if (done.status !== 0) {
    rmSync(part, { recursive: true, force: true });
    throw new Error(
      `debootstrap ended with status ${done.status}: ${done.stdout.split("\n").slice(-5).join("; ")} ${done.stderr}`,
    );
  }
  // A machine is called what it is started as.
  rmSync(join(part, "etc/hostname"), { force: true });
  rmSync(join(part, "etc/machine-id"), { force: true });
  renameSync(part, root);
  return root;
}
