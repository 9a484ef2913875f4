/** hipctl image clean: before a snapshot that other machines are to be made of. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Command } from "commander";
import { loadConfig } from "../../runtime/config-file.ts";
import { isCredentialPath } from "../../runtime/credentials.ts";
import { type Leftover, leftovers, removeLeftovers } from "../../runtime/image-clean.ts";
import { instanceOfFile } from "../../runtime/overlay-instance.ts";
import { configuration } from "../configuration.ts";
import { CommandFailure, contextOf, orExit } from "../context.ts";
import { CONFIG_OPTION, whereOf } from "../doctor/where.ts";
import { EXIT } from "../exit.ts";
import { type Io, table } from "../output.ts";

interface CleanOptions {
  readonly stop?: boolean;
  readonly unit?: string;
  readonly peers?: boolean;
  readonly dryRun?: boolean;
}

/** systemd gives a stopping hipd a few seconds. */
const STOP_MILLIS = 30_000;

export function addImage(program: Command, io: Io): void {
  program
    .command("image")
    .description("prepare a disk that other machines are to be made of")
    .command("clean")
    .description("delete identities, state and what ties them to this machine, and list what was deleted")
    .option("--stop", "stop hipd first; without it a running hipd is a reason to refuse")
    .option("--unit <name>", "the unit that --stop stops (default: hipd.service, or that of --instance)")
    .option("--peers", "also delete the peers of peers.d")
    .option("--dry-run", "only list what would be deleted")
    .option(...CONFIG_OPTION)
    .action(async (options: CleanOptions, command: Command) => {
      const context = contextOf(command, io);
      const where = whereOf(command, io);
      const config = configuration(where.config);
      const dryRun = options.dryRun === true;
      if (!dryRun) {
        const unit = options.stop === true ? (options.unit ?? unitOf(config.file)) : undefined;
        if (unit !== undefined) stop(unit);
        await refuseWhileRunning(where.socket ?? config.control.socket, unit);
      }
      const found = orExit(EXIT.permission, leftovers(config, options.peers === true));
      const { removed, problems } = dryRun
        ? { removed: found, problems: [] }
        : removeLeftovers(found, config.identity.directory);
      const shown = { dryRun, removed: removed.map(({ file, what }) => ({ file, what })) };
      context.print(shown, () => cleanText(removed, dryRun, io));
      const elsewhere = config.identity.key;
      if (isCredentialPath(elsewhere))
        io.error(
          `hipctl: the service manager brings the key ${elsewhere}: see LoadCredential= of the unit\n`,
        );
      for (const other of otherOverlays(config.file))
        io.error(`hipctl: keys of another overlay are still here: ${other}\n`);
      if (problems.length > 0) throw new CommandFailure(EXIT.permission, problems.join("\n"));
    });
}

/** How to clean the overlays that are configured beside this one, as far as they have keys. */
function otherOverlays(file: string): readonly string[] {
  const folder = dirname(file);
  const names = readdirSync(folder).filter((name) => name.endsWith(".toml") && name !== basename(file));
  return names.sort().flatMap((name) => {
    const path = join(folder, name);
    const config = loadConfig(path);
    const found = config.ok ? leftovers(config.value, false) : undefined;
    if (found?.ok && !found.value.some(({ secret }) => secret)) return [];
    // What is not a configuration has no keys; one that cannot be looked at may have.
    if (found === undefined) return [];
    const instance = instanceOfFile(path);
    return [
      instance === undefined
        ? `hipctl image clean --config ${path}`
        : `hipctl --instance ${instance} image clean`,
    ];
  });
}

function unitOf(config: string): string {
  const instance = instanceOfFile(config);
  return instance === undefined ? "hipd.service" : `hipd@${instance}.service`;
}

function stop(unit: string): void {
  const done = spawnSync("systemctl", ["stop", "--", unit], { encoding: "utf8", timeout: STOP_MILLIS });
  if (done.status === 0) return;
  const why = done.error?.message ?? done.stderr.trim();
  throw new CommandFailure(EXIT.failed, `nothing was deleted: systemctl stop ${unit}: ${why}`);
}

/** A running hipd has its key in memory and writes its state again when it stops. */
async function refuseWhileRunning(socket: string, stopped: string | undefined): Promise<void> {
  const { ControlClient } = await import("../../runtime/control-client.ts");
  const client = ControlClient.open(socket);
  if (!client.ok) {
    if (client.error.code === "unreachable") return;
    throw new CommandFailure(EXIT.permission, `nothing was deleted: ${client.error.message}`);
  }
  const answer = await client.value.call("GetVersion", {});
  client.value.close();
  if (!answer.ok && answer.error.code === "unreachable") return;
  const how = stopped === undefined ? "stop it, or add --stop" : `stopping ${stopped} did not end it`;
  throw new CommandFailure(EXIT.failed, `nothing was deleted: hipd answers at ${socket}; ${how}`);
}

function cleanText(removed: readonly Leftover[], dryRun: boolean, io: Io): string {
  if (removed.length === 0) return "nothing to delete: no identity and no state is here\n";
  const rows = table(
    removed,
    [
      { title: dryRun ? "WOULD BE DELETED" : "DELETED", value: ({ file }) => file },
      { title: "WHAT", value: ({ what }) => what },
    ],
    io.color,
  );
  return `${rows}${dryRun ? "" : "The next start of hipd makes a new identity: do not start it before the snapshot.\n"}`;
}
