/** hipctl takeover: what the unit file asks for before a restart, so that the next hipd goes on with all associations. */
import { execFile } from "node:child_process";
import type { Command } from "commander";
import { CommandFailure, type Context, contextOf } from "../context.ts";
import type { Io } from "../output.ts";

/** All three together stay below TimeoutStopSec=. systemctl answers at once, or not at all; a carrier that is not ready by then is done without. */
export const LIMITS = { listJobs: 2_500, carrier: 2_000, announce: 2_500 } as const;

interface Options {
  readonly unit?: string;
  readonly carrier?: string;
}

export function addTakeover(program: Command, io: Io): void {
  const takeover = program.command("takeover").description("hand associations from one hipd to the next");
  takeover
    .command("announce")
    .description("make hipd hand its associations over, instead of closing them, when it stops next")
    .option("--unit <name>", "only while systemd restarts this unit; never fails (for ExecStop=)")
    .option("--carrier <socket>", "who serves packets meanwhile: the socket of a hipd --carry")
    .action(async ({ unit, carrier }: Options, command: Command) => {
      const context = contextOf(command, io);
      if (unit === undefined) return announce(context, carrier);
      try {
        const job = jobOf(await listJobs(unit), unit);
        if (job === "restart") return await announce(context, carrier ?? (await startCarrier(unit, io)));
        const why = job === undefined ? "there is no job for it" : `its job is "${job}"`;
        io.error(`hipctl: ${unit} is not being restarted (${why}): nothing is handed over\n`);
      } catch (error) {
        // A unit that cannot be stopped would be worse than associations that are made anew.
        const message = error instanceof CommandFailure ? error.message : (error as Error).message;
        io.error(`hipctl: nothing is handed over: ${message.trim()}\n`);
      }
    });
}

async function announce(context: Context, carrier: string | undefined): Promise<void> {
  const announced = await context.call<{ seconds: number }>("AnnounceTakeover", { carrier }, LIMITS.announce);
  context.print(
    announced,
    () => `When hipd stops within ${announced.seconds} s, the next one goes on with its associations.\n`,
  );
}

/** The unit that carries for a unit of hipd, and where it listens. A name of an instance has no dot: no folder is another one's. */
export function carrierOf(unit: string): { readonly unit: string; readonly socket: string } | undefined {
  const parts = /^hipd(@[a-z0-9][a-z0-9_-]*)?\.service$/.exec(unit);
  if (parts === null) return undefined;
  const instance = parts[1]?.slice(1);
  if (instance === undefined) return { unit: "hipd-carry.service", socket: "/run/hipd.carry/socket" };
  return { unit: `hipd-carry@${instance}.service`, socket: `/run/hipd.carry-${instance}/socket` };
}

/** A new one, of the programs that are installed now. Without it, packets wait. */
async function startCarrier(unit: string, io: Io): Promise<string | undefined> {
  const carrier = carrierOf(unit);
  try {
    if (carrier === undefined) throw new Error(`none is known for ${unit}`);
    await systemctl(["restart", "--", carrier.unit], LIMITS.carrier);
    return carrier.socket;
  } catch (error) {
    io.error(`hipctl: packets wait for the next hipd: no carrier: ${(error as Error).message.trim()}\n`);
    return undefined;
  }
}

function listJobs(unit: string): Promise<string> {
  return systemctl(["list-jobs", "--no-legend", "--no-pager", "--plain", "--", unit], LIMITS.listJobs);
}

function systemctl(args: readonly string[], timeout: number): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile("systemctl", args, { timeout, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (error.killed === true) reject(new Error(`systemctl: no answer in ${timeout / 1000} s`));
      else reject(new Error(`systemctl: ${stderr.trim() || error.message}`));
    });
  });
}

/** The type of the unit's job in the output of `systemctl list-jobs`: lines "JOB UNIT TYPE STATE". */
export function jobOf(listing: string, unit: string): string | undefined {
  for (const line of listing.split("\n")) {
    const [, name, type] = line.trim().split(/\s+/);
    if (name === unit) return type;
  }
  return undefined;
}
