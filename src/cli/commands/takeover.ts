/** hipctl takeover: what the unit file asks for before a restart, so that the next hipd goes on with all associations. */
import { execFile } from "node:child_process";
import type { Command } from "commander";
import { CommandFailure, type Context, contextOf } from "../context.ts";
import type { Io } from "../output.ts";

/** systemctl answers at once, or not at all. */
const SYSTEMCTL_MILLIS = 5_000;
const ANNOUNCE_MILLIS = 5_000;

export function addTakeover(program: Command, io: Io): void {
  const takeover = program.command("takeover").description("hand associations from one hipd to the next");
  takeover
    .command("announce")
    .description("make hipd hand its associations over, instead of closing them, when it stops next")
    .option("--unit <name>", "only while systemd restarts this unit; never fails (for ExecStop=)")
    .action(async ({ unit }: { unit?: string }, command: Command) => {
      const context = contextOf(command, io);
      if (unit === undefined) return announce(context);
      try {
        const job = jobOf(await listJobs(unit), unit);
        if (job === "restart") return await announce(context);
        const why = job === undefined ? "there is no job for it" : `its job is "${job}"`;
        io.error(`hipctl: ${unit} is not being restarted (${why}): nothing is handed over\n`);
      } catch (error) {
        // A unit that cannot be stopped would be worse than associations that are made anew.
        const message = error instanceof CommandFailure ? error.message : (error as Error).message;
        io.error(`hipctl: nothing is handed over: ${message.trim()}\n`);
      }
    });
}

async function announce(context: Context): Promise<void> {
  const announced = await context.call<{ seconds: number }>("AnnounceTakeover", {}, ANNOUNCE_MILLIS);
  context.print(
    announced,
    () => `When hipd stops within ${announced.seconds} s, the next one goes on with its associations.\n`,
  );
}

function listJobs(unit: string): Promise<string> {
  const args = ["list-jobs", "--no-legend", "--no-pager", "--plain", "--", unit];
  return new Promise((resolve, reject) => {
    execFile(
      "systemctl",
      args,
      { timeout: SYSTEMCTL_MILLIS, killSignal: "SIGKILL" },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`systemctl: ${stderr.trim() || error.message}`));
      },
    );
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
