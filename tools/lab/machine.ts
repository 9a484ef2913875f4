/** A Debian machine that is booted: its own systemd, files and users on a namespace of the laboratory, by systemd-nspawn. */
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { type Namespace, unavailable } from "./lab.ts";
import { debianRoot, haveRoot } from "./root.ts";
import { attempt, Background, type Ended, findProgram, type RunOptions } from "./shell.ts";

const CGROUPS = "/sys/fs/cgroup";
const BOOT_MILLIS = 60_000;
const POWER_OFF_MILLIS = 20_000;
/** What a login shell of root has; nothing of the environment of tests goes in. */
const ENVIRONMENT = [
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "HOME=/root",
  "LANG=C.UTF-8",
  "DEBIAN_FRONTEND=noninteractive",
];

/** nspawn shows a machine the network devices of whoever started it: these are its own. The rest of /sys stays, with the control groups. */
const OWN_DEVICES = `
  mkdir /run/own-sys
  mount -t sysfs -o ro,nosuid,nodev,noexec sysfs /run/own-sys
  for part in class/net devices/virtual/net; do mount --bind /run/own-sys/$part /sys/$part; done
  umount /run/own-sys
`;

/** Why no machine can be booted here, or undefined when one can. */
export function noMachines(): string | undefined {
  if (/\bsystemd\b/.test(process.env["HIPD_SKIP"] ?? "")) return "HIPD_SKIP names it";
  const reason = unavailable();
  if (reason !== undefined) return reason;
  if (findProgram("systemd-nspawn") === undefined) return "needs systemd-container";
  if (findProgram("debootstrap") === undefined && !haveRoot()) return "needs debootstrap";
  if (cgroupTrees().length === 0) return "needs /sys/fs/cgroup, writable";
  return undefined;
}

export class Machine {
  readonly namespace: Namespace;
  readonly #nspawn: Background;
  readonly #groups: readonly string[];
  #leader = 0;

  private constructor(namespace: Namespace, nspawn: Background, groups: readonly string[]) {
    this.namespace = namespace;
    this.#nspawn = nspawn;
    this.#groups = groups;
  }

  /**
   * Boots a machine whose network is the namespace; resolves when its services are up. `folder` of this machine is its /srv,
   * read-only. What it writes is in memory and gone when it ends; it ends with this process.
   */
  static async boot(namespace: Namespace, folder: string): Promise<Machine> {
    const root = await debianRoot();
    removeStale();
    const groups = cgroupTrees().map((tree) => join(tree, namespace.name));
    for (const group of groups) mkdirSync(group, { recursive: true });
    // Two machines in one cgroup would take each other's services for their own.
    const enter = groups.map((group) => `echo $$ > ${group}/cgroup.procs`).join("; ");
    const nspawn = new Background([
      ...["setpriv", "--pdeathsig", "TERM", "sh", "-ec", `${enter}; exec systemd-nspawn "$@"`, "sh"],
      ...["--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--console=read-only"],
      ...[`--machine=${namespace.name}`, `--hostname=${namespace.label}`],
      ...[
        `--directory=${root}`,
        "--volatile=overlay",
        `--network-namespace-path=/run/netns/${namespace.name}`,
      ],
      ...["--bind=/dev/net/tun", "--capability=CAP_NET_ADMIN", `--bind-ro=${folder}:/srv`, "--boot"],
    ]);
    const machine = new Machine(namespace, nspawn, groups);
    try {
      await nspawn.line((line) => /Reached target .*multi-user\.target/.test(line), BOOT_MILLIS);
      machine.#leader = leaderOf(nspawn.child.pid as number);
      await machine.sh(OWN_DEVICES);
      await machine.attempt(["systemctl", "is-system-running", "--wait"]);
      return machine;
    } catch (error) {
      await machine.end();
      throw error;
    }
  }

  /** The command line that runs `command` inside, as root. */
  inside(command: readonly string[]): string[] {
    const enter = ["nsenter", "--target", `${this.#leader}`, "--all"];
    // What runs inside ends with what started it outside.
    return [...enter, "setpriv", "--pdeathsig", "TERM", "env", "-i", ...ENVIRONMENT, ...command];
  }

  attempt(command: readonly string[], options?: RunOptions): Promise<Ended> {
    return attempt(this.inside(command), options);
  }

  /** Runs a command that must succeed; gives its standard output. */
  async run(command: readonly string[], options?: RunOptions): Promise<string> {
    const done = await this.attempt(command, options);
    if (done.status === 0) return done.stdout;
    throw new Error(
      `${this.namespace.label}: "${command.join(" ")}" ended with status ${done.status}\n${done.stdout}${done.stderr}`,
    );
  }

  sh(script: string, options?: RunOptions): Promise<string> {
    return this.run(["sh", "-ec", script], options);
  }

  /** The last lines that a unit has logged. */
  async journal(unit: string, lines = 60): Promise<string> {
    const done = await this.attempt([
      "journalctl",
      "--no-pager",
      "-o",
      "short-precise",
      "-n",
      `${lines}`,
      "-u",
      unit,
    ]);
    return done.stdout + done.stderr;
  }

  /** Powers it off in order. */
  async end(): Promise<void> {
    this.#nspawn.signal("SIGTERM");
    const force = setTimeout(() => this.#nspawn.signal("SIGKILL"), POWER_OFF_MILLIS);
    await this.#nspawn.ended();
    clearTimeout(force);
    for (const group of this.#groups) removeGroup(group);
  }
}

/** Process 1 of the machine, as this machine numbers it: the one child of nspawn. */
function leaderOf(nspawn: number): number {
  const children = readFileSync(`/proc/${nspawn}/task/${nspawn}/children`, "utf8").trim().split(" ");
  if (children.length !== 1) throw new Error(`systemd-nspawn has ${children.length} children`);
  return Number(children[0]);
}

/** Where systemd keeps its own groups: the whole tree, or two of them on older layouts. */
function cgroupTrees(): readonly string[] {
  const trees = existsSync(join(CGROUPS, "cgroup.procs"))
    ? [CGROUPS]
    : ["systemd", "unified"].map((name) => join(CGROUPS, name)).filter((path) => existsSync(path));
  return trees.filter((tree) => {
    try {
      accessSync(tree, constants.W_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function removeGroup(group: string): void {
  if (!existsSync(group)) return;
  for (const entry of readdirSync(group, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroup(join(group, entry.name));
  }
  try {
    rmdirSync(group);
  } catch {
    // Something of it is still ending; removed when the next machine boots.
  }
}

/** Groups of machines whose process was killed before it could tidy up. */
function removeStale(): void {
  for (const tree of cgroupTrees()) {
    for (const name of readdirSync(tree)) {
      const pid = /^hipd-(\d+)-\d+-/.exec(name)?.[1];
      if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeGroup(join(tree, name));
    }
  }
}
