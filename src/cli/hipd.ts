/** The daemon's main program. */
import { parseArgs } from "node:util";
import { ok, type Result } from "../core/types.ts";
import type { DaemonConfig } from "../runtime/config-file.ts";
import { loadConfig, problemText } from "../runtime/config-file.ts";
import type { Daemon } from "../runtime/daemon.ts";
import type { Inheritance } from "../runtime/inherit.ts";
import { createLog, type Log, standardOutput } from "../runtime/log.ts";
import { takeoverRefused } from "../runtime/network-options.ts";
import type { NetworkSystem } from "../runtime/network-port.ts";
import { instanceConfigFile, parseInstanceName } from "../runtime/overlay-instance.ts";
import { goAhead } from "../runtime/priority.ts";
import { keptCapabilities } from "../runtime/privileges.ts";
import { serviceManager } from "../runtime/systemd.ts";
import { Tidy } from "../runtime/tidy.ts";
import { packageVersion } from "../runtime/version.ts";
import { EXIT, type ExitStatus } from "./exit.ts";

export const DEFAULT_CONFIG_FILE = "/etc/hipd/hipd.toml";

export const HELP = `Usage: hipd [--config FILE | --instance NAME] [--check | --guard | --teardown]
       hipd --carry SOCKET

The host identity overlay daemon (HIPv2, RFC 7401).

  --config FILE    configuration (default ${DEFAULT_CONFIG_FILE})
  --instance NAME  one of several overlays on this host: /etc/hipd/NAME.toml,
                   socket /run/hipd-NAME/hipd.sock, state /var/lib/hipd-NAME,
                   interface hip-NAME
  --check          check the configuration and the keys, then exit
  --guard          only install the routes that keep overlay traffic from
                   leaving in the clear, then exit: for before the network is up
  --teardown       remove the interface and the routes that hipd leaves, then
                   exit
  --carry SOCKET   serve packets between a hipd that is restarted and the next
                   one, then exit: hipd-carry.service runs it
  --version        print the version
  --help           print this text

Signals: SIGHUP reads the configuration again; SIGTERM and SIGINT stop.
Exit status: 0 ok, 1 failure, 2 wrong usage, 3 wrong configuration,
             4 lacking permission or a private key that is not private.
`;

/** How long a start may take before the service manager may call it hung. */
const START_MILLIS = 60_000;
const START_MILLIS_PER_PEER = 2;

const ERROR_KINDS = {
  config: EXIT.config,
  permission: EXIT.permission,
  failed: EXIT.failed,
  conflict: EXIT.failed,
};

interface Arguments {
  readonly config: string;
  readonly instance: string | undefined;
  readonly mode: "run" | "check" | "guard" | "teardown" | "version" | "help";
}

function readArguments(argv: readonly string[]): Arguments | string {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        config: { type: "string", short: "c" },
        instance: { type: "string" },
        check: { type: "boolean" },
        guard: { type: "boolean" },
        teardown: { type: "boolean" },
        carry: { type: "string" },
        version: { type: "boolean", short: "V" },
        help: { type: "boolean", short: "h" },
      },
    });
    const modes = (["check", "guard", "teardown", "version", "help"] as const).filter((mode) => values[mode]);
    if (modes.length > 1) return `--${modes[0]} and --${modes[1]} exclude each other`;
    // Alone it does not come here.
    if (values.carry !== undefined) return "--carry SOCKET stands alone";
    const instance = values.instance === undefined ? ok(undefined) : parseInstanceName(values.instance);
    if (!instance.ok) return `--instance: ${instance.error}`;
    const standard = instance.value === undefined ? DEFAULT_CONFIG_FILE : instanceConfigFile(instance.value);
    return { config: values.config ?? standard, instance: instance.value, mode: modes[0] ?? "run" };
  } catch (error) {
    return (error as Error).message.split(". ")[0] as string;
  }
}

/** Loads what opens the network: not needed for everything that hipd can do. */
export type LoadNetwork = () => Promise<NetworkSystem>;

/** Takes what a predecessor left. To be called once. */
export type Inherit = () => Result<Inheritance, string>;

/** Runs until told to stop; gives the exit status. `network` is loaded only when it is needed. */
export async function main(
  argv: readonly string[],
  network: LoadNetwork,
  inherit?: Inherit,
): Promise<ExitStatus> {
  const args = readArguments(argv);
  if (typeof args === "string") return complain(EXIT.usage, [`${args}; try: hipd --help`]);
  if (args.mode === "version" || args.mode === "help") {
    process.stdout.write(args.mode === "help" ? HELP : `hipd ${packageVersion()}\n`);
    return EXIT.ok;
  }
  const config = loadConfig(args.config, args.instance);
  if (!config.ok) return complain(EXIT.config, config.error.map(problemText));
  switch (args.mode) {
    case "check":
      return check(config.value);
    case "guard":
    case "teardown": {
      if (args.mode === "teardown") {
        const { freeSocket } = await import("../runtime/control-server.ts");
        const free = await freeSocket(config.value.control.socket);
        if (!free.ok) return complain(EXIT.failed, [`${free.error}; stop it first`]);
      }
      const { interface: name, lsiPrefix } = config.value.network;
      const done = (await network())[args.mode]({
        interface: name,
        lsiPrefix,
      });
      if (args.mode === "teardown") await forgetNames(name);
      return done.ok ? EXIT.ok : complain(ERROR_KINDS[done.error.kind], [done.error.message]);
    }
    case "run":
      return run(config.value, network, inherit);
  }
}

/** A daemon that was killed may have left names behind. systemd-resolved forgets them with the interface. */
async function forgetNames(name: string): Promise<void> {
  const { HOSTS_FILE, writeHostsBlock } = await import("../runtime/dns/hosts-file.ts");
  const removed = writeHostsBlock(HOSTS_FILE, name, []);
  if (!removed.ok) complain(EXIT.failed, [removed.error]);
}

function complain(status: ExitStatus, lines: readonly string[]): ExitStatus {
  for (const line of lines) process.stderr.write(`hipd: ${line}\n`);
  return status;
}

async function check(config: DaemonConfig): Promise<ExitStatus> {
  const { checkConfig } = await import("../runtime/prepare.ts");
  const checked = checkConfig(config);
  if (!checked.ok) return complain(ERROR_KINDS[checked.error.kind], checked.error.messages);
  process.stdout.write(`${config.file}: ok, ${config.peers.length} peers\n`);
  return EXIT.ok;
}

async function run(
  config: DaemonConfig,
  network: LoadNetwork,
  inherit: Inherit | undefined,
): Promise<ExitStatus> {
  const terminal = process.stdout.isTTY === true;
  const format = config.log.format === "auto" ? (terminal ? "text" : "json") : config.log.format;
  const color = terminal && process.env["NO_COLOR"] === undefined;
  const log = createLog({ level: config.log.level, format, color }, standardOutput(process.env));
  crashLoudly(log);
  // Before there are threads that step back by themselves.
  goAhead(config.network.nice, log);
  const signals = new Signals();
  const version = packageVersion();
  const { loggedJobs } = await import("../runtime/job-pool.ts");
  const jobs = loggedJobs(log);
  // Packets of a predecessor's associations need the processors more than exchanges that may come.
  if (inherit === undefined) jobs.warm();
  const { Daemon } = await import("../runtime/daemon.ts");
  const system = await network();
  const service = serviceManager(process.env, system.service?.notify, {
    complain: (reason) => log.warn("service-manager-deaf", "the service manager cannot be told", { reason }),
  });
  service.extendStart(START_MILLIS + config.peers.length * START_MILLIS_PER_PEER);
  const { NAMES_PLACES } = await import("../runtime/dns/names.ts");
  const { METADATA_PLACES } = await import("../runtime/metadata/poller.ts");
  // Until here a carrier serves packets: whatever takes its time is loaded.
  const inherited = inherit?.();
  if (inherited?.ok === false) takeoverRefused(log, inherited.error);
  const started = await Daemon.start({
    config,
    network: system,
    log,
    service,
    version,
    jobs,
    metadata: METADATA_PLACES,
    names: NAMES_PLACES,
    inheritance: inherited?.ok ? inherited.value : undefined,
    goAhead: (nice) => goAhead(nice, log),
  });
  if (!started.ok) {
    for (const message of started.error.messages) log.error("start-failed", message);
    return complain(ERROR_KINDS[started.error.kind], started.error.messages);
  }
  const daemon = started.value;
  system.service?.nameProcess("hipd");
  if (!dropPrivileges(config, system, log)) {
    await daemon.stop();
    return EXIT.permission;
  }
  const millis = Math.round(performance.now());
  log.info("ready", "ready", { version, ...daemon.summary(), millis });
  service.notify("READY", daemon.statusText());
  const tidy = new Tidy(
    () => system.trimMemory?.(),
    undefined,
    () => daemon.tidy(),
  );
  const signal = await signals.untilStop(daemon);
  tidy.stop();
  log.info("stopping", "stopping: closing associations", { signal });
  await daemon.stop();
  log.info("stopped", "stopped");
  // Packets wait for the successor: nothing is taken down in order.
  if (daemon.handedOver) system.service?.exitNow(EXIT.ok);
  return EXIT.ok;
}

/** Rights that are not needed any more go; what is left is logged. False: they cannot be given up. */
function dropPrivileges(config: DaemonConfig, system: NetworkSystem, log: Log): boolean {
  const keep = keptCapabilities(config, process.geteuid?.() ?? 0);
  try {
    system.service?.dropPrivileges(keep);
    log.debug("privileges-dropped", "gave up all capabilities but these", { kept: keep });
    return true;
  } catch (error) {
    const reason = (error as Error).message;
    log.error("privileges-not-dropped", "cannot give up capabilities that are not needed", { reason });
    return false;
  }
}

const AGAIN_MILLIS = 200;

/** Signals that come before the daemon has started are kept until it has. */
class Signals {
  #stop: ((signal: string) => void) | undefined;
  #stopped: string | undefined;
  #askedAt = 0;
  #daemon: Daemon | undefined;

  constructor() {
    for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => this.#onStop(signal));
    process.on("SIGHUP", () => void this.#daemon?.reload());
    process.on("SIGPIPE", () => {});
    // Node would open its debugger to every user of the host.
    process.on("SIGUSR1", () => {});
  }

  untilStop(daemon: Daemon): Promise<string> {
    this.#daemon = daemon;
    if (this.#stopped !== undefined) return Promise.resolve(this.#stopped);
    return new Promise((resolve) => {
      this.#stop = resolve;
    });
  }

  /** Whoever asks again does not want to wait for the peers. Some send one wish as two signals at once. */
  #onStop(signal: string): void {
    const now = performance.now();
    if (this.#stopped !== undefined && now - this.#askedAt > AGAIN_MILLIS) process.exit(EXIT.failed);
    if (this.#stopped !== undefined) return;
    this.#askedAt = now;
    this.#stopped = signal;
    this.#stop?.(signal);
  }
}

/** A bug ends the daemon with its reason in the log; the interface and its routes stay, so nothing leaks meanwhile. */
function crashLoudly(log: Log): void {
  process.on("uncaughtException", (error) => {
    log.error("crashed", "hipd has a bug and ends", { stack: error.stack ?? String(error) });
    process.exit(EXIT.failed);
  });
}
