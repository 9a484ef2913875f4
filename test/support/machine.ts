/** A whole daemon in this process, on a data plane in memory, and hipctl beside it. */
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { loadConfig } from "../../src/runtime/config-file.ts";
import { Daemon } from "../../src/runtime/daemon.ts";
import { serviceManager } from "../../src/runtime/systemd.ts";
import { type CliOptions, type CliResult, hipctl } from "./cli.ts";
import { FakeNetwork, Medium, memoryLog, temporaryFolder, write } from "./runtime.ts";

/** A configuration that keeps to its own folder. */
export const PLACES = '[state]\ndirectory = "state"\n[control]\nsocket = "hipd.sock"\n';

/** @param file the configuration */
export async function startDaemon(
  file: string,
  network: FakeNetwork,
  others: Partial<Parameters<typeof Daemon.start>[0]> = {},
): Promise<Daemon> {
  const config = loadConfig(file);
  if (!config.ok) throw new Error(`bad configuration: ${JSON.stringify(config.error)}`);
  const started = await Daemon.start({
    config: config.value,
    network,
    log: memoryLog().log,
    service: serviceManager({}, undefined),
    version: "1.2.3",
    ...others,
  });
  if (!started.ok) throw new Error(started.error.messages.join("\n"));
  return started.value;
}

export class Machine {
  readonly folder = temporaryFolder();
  readonly socket = join(this.folder, "hipd.sock");
  readonly #address: string;
  readonly #medium: Medium;
  readonly #version: string;
  #daemon: Daemon | undefined;

  constructor(address: string, medium: Medium = new Medium(), version = "1.2.3") {
    this.#address = address;
    this.#medium = medium;
    this.#version = version;
  }

  get address(): string {
    return this.#address;
  }

  async start(): Promise<void> {
    const file = write(this.folder, "hipd.toml", PLACES);
    this.#daemon = await startDaemon(file, new FakeNetwork(this.#address, this.#medium), {
      version: this.#version,
    });
  }

  async stop(): Promise<void> {
    await this.#daemon?.stop();
    this.#daemon = undefined;
  }

  ctl(argv: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    return hipctl(["--socket", this.socket, ...argv], options);
  }

  async json<T>(...argv: readonly string[]): Promise<T> {
    const { out, error, status } = await this.ctl([...argv, "--json"]);
    if (out === "") throw new Error(`hipctl ${argv.join(" ")} ended with ${status}: ${error}`);
    return JSON.parse(out) as T;
  }

  async hit(): Promise<string> {
    return (await this.json<{ self: { hit: string } }>("status")).self.hit;
  }
}

/** Each gets to know the other, by these names. */
export async function acquaint(a: Machine, b: Machine, nameA = "a", nameB = "b"): Promise<void> {
  await a.ctl(["peer", "add", nameB, "--hit", await b.hit(), "--locator", b.address]);
  await b.ctl(["peer", "add", nameA, "--hit", await a.hit(), "--locator", a.address]);
}

/** Two that know each other, with an association, while the tests of a `describe` run. */
export function connectedMachines(medium: Medium): readonly [a: Machine, b: Machine] {
  const [a, b] = [new Machine("192.0.2.1", medium), new Machine("192.0.2.2", medium)];
  beforeAll(async () => {
    await Promise.all([a.start(), b.start()]);
    await acquaint(a, b);
    await a.ctl(["connect", "b"]);
  });
  afterAll(() => Promise.all([a.stop(), b.stop()]));
  return [a, b];
}
