/** `make bench-peers`: installs what the contestants need from Debian. None of their services is started. */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { attempt, findProgram } from "../tools/lab/shell.ts";
import { CONTESTANTS } from "./contestants/all.ts";

/** Asked by Debian's packages before they start a service. */
const POLICY = "/usr/sbin/policy-rc.d";

if (process.getuid?.() !== 0) {
  console.error("bench-peers installs Debian packages: run it as root.");
  process.exit(1);
}
const absent = CONTESTANTS.filter((contestant) => contestant.missing() !== undefined);
const wanted = new Set(absent.flatMap((contestant) => contestant.packages));
if (findProgram("ethtool") === undefined) wanted.add("ethtool");
if (wanted.size > 0) await install([...wanted]);
for (const contestant of CONTESTANTS) {
  const reason = contestant.missing();
  console.log(`${contestant.name.padEnd(14)} ${reason ?? (await contestant.version())}`);
}

async function install(names: readonly string[]): Promise<void> {
  const ours = !existsSync(POLICY);
  if (ours) writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  try {
    const update = await attempt(["apt-get", "update", "-qq"], { env, timeoutMillis: 300_000 });
    if (update.status !== 0) console.error(`apt-get update failed: ${update.stderr.slice(-500)}`);
    const known: string[] = [];
    for (const name of names) {
      const shown = await attempt(["apt-cache", "show", "--no-all-versions", name]);
      if (shown.status === 0) known.push(name);
      else console.log(`not in this system's package lists: ${name}`);
    }
    const command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", ...known];
    const done = await attempt(command, { env, timeoutMillis: 900_000 });
    if (done.status !== 0) {
      console.error(`apt-get install failed: ${done.stderr.slice(-1000)}`);
      process.exitCode = 1;
    }
  } finally {
    if (ours) rmSync(POLICY, { force: true });
  }
}
