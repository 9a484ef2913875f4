/**
 * A laboratory of network namespaces: hosts and routers that are real to the kernel and gone afterwards.
 * Every name begins with `hipd-<pid>-`; nothing of the machine itself is changed.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent } from "./agent-client.ts";
import { attempt, Background, type Ended, findProgram, type RunOptions, run } from "./shell.ts";

/** Why namespaces cannot be used here, or undefined when they can. */
export function unavailable(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  if (!existsSync("/dev/net/tun")) return "needs /dev/net/tun";
  for (const program of ["ip", "nft", "tcpdump", "ping"]) {
    if (findProgram(program) === undefined) return `needs ${program}`;
  }
  return undefined;
}

export interface LinkEnd {
  readonly namespace: Namespace;
  readonly device: string;
  /** With prefix length: "192.0.2.2/30", "2001:db8:a::2/64". */
  readonly addresses: readonly string[];
}

/** One namespace: a host or a router. */
export class Namespace {
  /** The name that the kernel knows. */
  readonly name: string;
  /** The name that people read. */
  readonly label: string;
  readonly #lab: Lab;
  #agent: Promise<Agent> | undefined;

  constructor(lab: Lab, label: string) {
    this.#lab = lab;
    this.label = label;
    this.name = `${lab.prefix}${label}`;
  }

  /** The command line that runs `command` inside. */
  inside(command: readonly string[]): string[] {
    return ["ip", "netns", "exec", this.name, ...command];
  }

  run(command: readonly string[], options?: RunOptions): Promise<string> {
    return run(this.inside(command), options);
  }

  attempt(command: readonly string[], options?: RunOptions): Promise<Ended> {
    return attempt(this.inside(command), options);
  }

  /** Starts a program that lives no longer than the laboratory. */
  spawn(command: readonly string[], options: { env?: NodeJS.ProcessEnv; raw?: boolean } = {}): Background {
    return this.#lab.own(new Background(this.inside(command), options));
  }

  /** `ip` commands, one a line, in one call. */
  async ip(lines: readonly string[]): Promise<void> {
    await run(["ip", "-n", this.name, "-batch", "-"], { input: `${lines.join("\n")}\n` });
  }

  /** Kernel settings of this namespace: `sysctl({ "net.ipv4.ip_forward": 1 })`. */
  async sysctl(settings: Readonly<Record<string, string | number>>): Promise<void> {
    const lines = Object.entries(settings).map(
      ([key, value]) => `echo '${value}' > /proc/sys/${key.replaceAll(".", "/")}`,
    );
    await this.run(["sh", "-ec", lines.join("\n")]);
  }

  async nft(rules: string): Promise<void> {
    await this.run(["nft", "-f", "-"], { input: rules });
  }

  /** Drops each forwarded packet with the given probability in percent; 0 ends it. */
  async loss(percent: number): Promise<void> {
    const table = "add table inet loss\ndelete table inet loss\n";
    if (percent === 0) return this.nft(table);
    return this.nft(`${table}table inet loss {
      chain forward {
        type filter hook forward priority 0;
        numgen random mod 1000 < ${Math.round(percent * 10)} counter drop
      }
    }`);
  }

  /** Limits what leaves through a device: `rate("eth0", "100mbit")`. */
  async rate(device: string, rate: string): Promise<void> {
    await this.run([
      "tc",
      "qdisc",
      "replace",
      "dev",
      device,
      "root",
      "tbf",
      "rate",
      rate,
      "burst",
      "64kb",
      "latency",
      "50ms",
    ]);
  }

  /** Names of all devices except the loopback. */
  async devices(): Promise<string[]> {
    const links = JSON.parse(await run(["ip", "-n", this.name, "-j", "link", "show"])) as {
      ifname: string;
    }[];
    return links.map((link) => link.ifname).filter((name) => name !== "lo");
  }

  /** The program inside that plays applications (TCP and UDP clients and servers). Started once. */
  agent(): Promise<Agent> {
    this.#agent ??= Agent.start(this);
    return this.#agent;
  }

  /** What /etc/hosts says inside. */
  hosts(entries: readonly (readonly [address: string, name: string])[]): void {
    const lines = [["127.0.0.1", "localhost"], ["::1", "localhost"], ...entries].map((entry) =>
      entry.join("\t"),
    );
    this.etc("hosts", `${lines.join("\n")}\n`);
  }

  /** What a file of /etc says to programs that are started inside from now on. */
  etc(file: string, text: string): void {
    const folder = join("/etc/netns", this.name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, file), text);
  }
}

let made = 0;

export class Lab {
  readonly prefix: string;
  /** For keys, configurations, sockets and logs. Gone with the laboratory. */
  readonly folder: string;
  readonly #namespaces: Namespace[] = [];
  readonly #programs = new Set<Background>();
  readonly #onExit = (): void => this.#remove();

  private constructor() {
    this.prefix = `hipd-${process.pid}-${made++}-`;
    this.folder = mkdtempSync(join(tmpdir(), "hipd-lab-"));
    process.once("exit", this.#onExit);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      if (process.listenerCount(signal) === 0) process.once(signal, () => process.exit(130));
    }
  }

  static create(): Lab {
    removeStale();
    return new Lab();
  }

  async namespace(label: string): Promise<Namespace> {
    const namespace = new Namespace(this, label);
    await run(["ip", "netns", "add", namespace.name]);
    this.#namespaces.push(namespace);
    await namespace.ip(["link set lo up"]);
    await namespace.sysctl({
      "net.ipv6.conf.all.accept_ra": 0,
      "net.ipv6.conf.default.accept_ra": 0,
      "net.ipv6.conf.default.accept_dad": 0,
    });
    return namespace;
  }

  /** A router forwards and answers with ICMP without a rate limit, so that tests see every error. */
  async router(label: string): Promise<Namespace> {
    const router = await this.namespace(label);
    await router.sysctl({
      "net.ipv4.ip_forward": 1,
      "net.ipv6.conf.all.forwarding": 1,
      "net.ipv4.icmp_ratelimit": 0,
      "net.ipv6.icmp.ratelimit": 0,
    });
    return router;
  }

  /** A virtual cable between two namespaces. */
  async link(a: LinkEnd, b: LinkEnd, mtu = 1500): Promise<void> {
    await run([
      ...["ip", "link", "add", a.device, "netns", a.namespace.name, "mtu", `${mtu}`, "type", "veth"],
      ...["peer", "name", b.device, "netns", b.namespace.name, "mtu", `${mtu}`],
    ]);
    for (const end of [a, b]) {
      await end.namespace.ip([
        `link set dev ${end.device} up`,
        ...end.addresses.map(
          (address) => `addr add ${address} dev ${end.device}${address.includes(":") ? " nodad" : ""}`,
        ),
      ]);
    }
  }

  /** Registers a program so that it ends with the laboratory. */
  own(program: Background): Background {
    this.#programs.add(program);
    void program.ended().then(() => this.#programs.delete(program));
    return program;
  }

  /** Ends every program with all that it started, then removes every namespace and file. */
  async close(): Promise<void> {
    const programs = [...this.#programs];
    for (const program of programs) program.signal("SIGTERM");
    await Promise.all(programs.map((program) => program.exit("SIGTERM")));
    this.#remove();
    await Promise.all(programs.map((program) => program.ended()));
    process.removeListener("exit", this.#onExit);
  }

  #remove(): void {
    for (const program of this.#programs) program.signal("SIGKILL");
    removeNamespaces(this.#namespaces.map((namespace) => namespace.name));
    this.#namespaces.length = 0;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Two hosts on a routed path; no subnet is shared. */
export interface RoutedPair {
  readonly lab: Lab;
  readonly a: Host;
  readonly b: Host;
  readonly router: Namespace;
}

/** A host with the addresses of its one underlay device, eth0. */
export interface Host {
  readonly namespace: Namespace;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** `a` --- router --- `b`; `mtu` is that of the cable between the router and `b`. */
export async function routedPair(
  lab: Lab,
  options: { readonly mtu?: number; readonly labels?: readonly [string, string] } = {},
): Promise<RoutedPair> {
  const [labelA, labelB] = options.labels ?? ["a", "b"];
  const [a, b, router] = [
    await lab.namespace(labelA),
    await lab.namespace(labelB),
    await lab.router("router"),
  ];
  const ends = [
    { host: a, v4: "192.0.2", v6: "2001:db8:a", mtu: 1500 },
    { host: b, v4: "203.0.113", v6: "2001:db8:b", mtu: options.mtu ?? 1500 },
  ];
  for (const { host, v4, v6, mtu } of ends) {
    await lab.link(
      { namespace: host, device: "eth0", addresses: [`${v4}.2/30`, `${v6}::2/64`] },
      {
        namespace: router,
        device: `to-${host.label}`.slice(0, 15),
        addresses: [`${v4}.1/30`, `${v6}::1/64`],
      },
      mtu,
    );
    await host.ip([`route add default via ${v4}.1`, `route add ::/0 via ${v6}::1`]);
  }
  return {
    lab,
    router,
    a: { namespace: a, ipv4: "192.0.2.2", ipv6: "2001:db8:a::2" },
    b: { namespace: b, ipv4: "203.0.113.2", ipv6: "2001:db8:b::2" },
  };
}

/** With the processes inside: a program's children (a session of sshd, say) may outlive it, and keep its output open. */
function removeNamespaces(names: readonly string[]): void {
  if (names.length === 0) return;
  const theirs = new Set(names.map((name) => identity(join("/run/netns", name))));
  theirs.delete(undefined);
  for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    if (theirs.has(identity(`/proc/${pid}/ns/net`))) end(Number(pid));
  }
  for (const name of names) {
    try {
      execFileSync("ip", ["netns", "del", name], { stdio: "ignore" });
    } catch {
      // It is gone already.
    }
    rmSync(join("/etc/netns", name), { recursive: true, force: true });
  }
}

/** What the kernel calls the namespace behind a path; undefined when that is gone. */
function identity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** Namespaces of laboratories whose process was killed before it could tidy up. */
function removeStale(): void {
  if (!existsSync("/run/netns")) return;
  removeNamespaces(
    readdirSync("/run/netns").filter((name) => {
      const pid = /^hipd-(\d+)-\d+-/.exec(name)?.[1];
      return pid !== undefined && !existsSync(`/proc/${pid}`);
    }),
  );
}
