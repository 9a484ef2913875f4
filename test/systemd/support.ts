/** Two booted machines with the package on them, on a routed path. */
import { afterAll, afterEach, beforeAll, describe } from "vitest";
import { type Host, Lab, type Namespace, routedPair } from "../../tools/lab/lab.ts";
import { Machine, noMachines } from "../../tools/lab/machine.ts";
import { Background } from "../../tools/lab/shell.ts";
import { debOf, FOLDER, OLDER } from "./packages.ts";

const reason = noMachines();

/** `describe`, but skipped by name and reason where no machine can be booted. */
export function suite(name: string, body: () => void): void {
  describe.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (${reason})`, body);
}

const APT = ["apt-get", "-y", "-q", "--no-install-recommends"] as const;
const APT_MILLIS = 60_000;
const CLOSE_MILLIS = 15_000;

/** A machine that runs hipd from the package. */
export class Member {
  readonly machine: Machine;
  readonly host: Host;

  constructor(machine: Machine, host: Host) {
    this.machine = machine;
    this.host = host;
  }

  get name(): string {
    return this.machine.namespace.label;
  }

  /** Newer, older or the first: apt takes what lies there. */
  install(version: string): Promise<string> {
    return this.#apt("install", "--allow-downgrades", `/srv/${debOf(version)}`);
  }

  remove(): Promise<string> {
    return this.#apt("remove", "hipd");
  }

  purge(): Promise<string> {
    return this.#apt("purge", "hipd");
  }

  #apt(...words: readonly string[]): Promise<string> {
    return this.machine.run([...APT, ...words], { timeoutMillis: APT_MILLIS });
  }

  hipctl(...words: readonly string[]): Promise<string> {
    return this.machine.run(["hipctl", ...words]);
  }

  async json<T>(...words: readonly string[]): Promise<T> {
    return JSON.parse(await this.hipctl("--json", ...words)) as T;
  }

  async hit(): Promise<string> {
    return (await this.json<{ self: { hit: string } }>("status")).self.hit;
  }

  async lsiOf(peer: string): Promise<string> {
    return (await this.json<{ lsi: string }>("peer", "show", peer)).lsi;
  }

  /** What makes one association different from the next. */
  async associationWith(peer: string): Promise<{ state: string; inSpi: string; outSpi: string }> {
    const { state, inSpi, outSpi } = await this.json<{ state: string; inSpi: string; outSpi: string }>(
      "association",
      "show",
      peer,
    );
    return { state, inSpi, outSpi };
  }

  /** A property of a unit, as systemd tells it. */
  async property(name: string, unit = "hipd.service"): Promise<string> {
    return (await this.machine.run(["systemctl", "show", "--value", "-p", name, unit])).trim();
  }

  /** What systemd and hipd log of the unit from now on. */
  async follow(unit = "hipd.service"): Promise<Background> {
    const journal = ["journalctl", "-q", "-o", "cat", "-u", unit];
    const last = await this.machine.run([...journal, "-n", "1", "--show-cursor"]);
    const cursor = /-- cursor: (.*)$/m.exec(last)?.[1] as string;
    return new Background(this.machine.inside([...journal, "-f", `--after-cursor=${cursor}`]));
  }
}

export interface Machines {
  readonly lab: Lab;
  readonly a: Member;
  readonly b: Member;
  readonly router: Namespace;
}

/** Two machines for the tests of one `describe`; nothing is installed yet. */
export function sharedMachines(): () => Machines {
  let machines: Machines | undefined;
  let lab: Lab | undefined;
  beforeAll(async () => {
    lab = Lab.create();
    const hosts = await routedPair(lab, { labels: ["east", "west"] });
    const [a, b] = [
      new Member(await Machine.boot(hosts.a.namespace, FOLDER), hosts.a),
      new Member(await Machine.boot(hosts.b.namespace, FOLDER), hosts.b),
    ];
    machines = { lab, a, b, router: hosts.router };
  });
  afterEach(async ({ task }) => {
    if (task.result?.state !== "fail" || machines === undefined) return;
    for (const { name, machine } of [machines.a, machines.b]) {
      console.log(`--- ${name} ---\n${await machine.journal("hipd.service")}`);
    }
  });
  afterAll(async () => {
    // Programs that talk through the machines first. What a dead connection holds is left to its end.
    await Promise.race([lab?.close(), new Promise((resolve) => setTimeout(resolve, CLOSE_MILLIS))]);
    await Promise.all([machines?.a.machine.end(), machines?.b.machine.end()]);
  });
  return () => {
    if (machines === undefined) throw new Error("the machines could not be booted");
    return machines;
  };
}

/** Installs on both and tells each who the other is, to be kept. */
export async function installed({ a, b }: Machines, version = OLDER): Promise<void> {
  for (const member of [a, b]) await member.install(version);
  await acquainted({ a, b });
}

export async function acquainted({ a, b }: Pick<Machines, "a" | "b">): Promise<void> {
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    await one.hipctl(
      "peer",
      "add",
      other.name,
      "--hit",
      await other.hit(),
      "--locator",
      other.host.ipv4,
      "--keep",
    );
  }
}
