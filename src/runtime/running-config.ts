/** What the daemon runs with, and how it comes to run with other settings or keys. */
import { err, ok, type Result } from "../core/types.ts";
import type { ConfigChanges, ControlReply, ControlRequest } from "../overlay/control.ts";
import { type DaemonConfig, loadConfig, problemText } from "./config-file.ts";
import type { Problem, ReloadReport } from "./control-convert.ts";
import type { Log } from "./log.ts";
import { keysOf, type Prepared, prepare } from "./prepare.ts";
import { changedSettings, withFixed } from "./restart.ts";
import type { ShortJobs } from "./short-jobs.ts";

export interface RunningConfigOptions {
  /** What it runs with at first. */
  readonly prepared: Prepared;
  readonly r1CounterStart: bigint;
  readonly log: Log;
  readonly jobs: Pick<ShortJobs, "setIdentities">;
  /** Answers at once. */
  readonly configure: (
    request: Extract<ControlRequest, { type: "configure" }>,
    answer: (reply: ControlReply) => void,
  ) => void;
  /** Settings that the overlay took in place of former ones: whoever else has some follows. */
  readonly applied: (config: DaemonConfig, former: DaemonConfig) => void;
}

export class RunningConfig {
  readonly #options: RunningConfigOptions;
  #active: Prepared;

  constructor(options: RunningConfigOptions) {
    this.#options = options;
    this.#active = options.prepared;
  }

  get active(): Prepared {
    return this.#active;
  }

  /** Reads the file again and applies the differences; anything wrong in it changes nothing. */
  reload(): Result<ReloadReport, Problem> {
    const { config: before } = this.#active;
    const loaded = loadConfig(before.file, before.instance);
    if (!loaded.ok) return err({ code: "config", message: loaded.error.map(problemText).join("\n") });
    const applied = this.apply(loaded.value);
    if (!applied.ok) return applied;
    this.#options.log.setLevel(loaded.value.log.level);
    return ok({ ...applied.value, needsRestart: changedSettings(before, loaded.value) });
  }

  /** Settings that need a restart stay as they are. */
  apply(config: DaemonConfig): Result<ConfigChanges, Problem> {
    const { jobs, r1CounterStart, configure, applied } = this.#options;
    const former = this.#active;
    const prepared = prepare(withFixed(config, former.config), r1CounterStart);
    if (!prepared.ok) return err({ code: "config", message: prepared.error.messages.join("\n") });
    jobs.setIdentities(keysOf(prepared.value));
    this.#active = prepared.value;
    let reply: ControlReply | undefined;
    configure({ type: "configure", config: prepared.value.overlay }, (answer) => {
      reply = answer;
    });
    if (reply?.type === "configured") {
      applied(prepared.value.config, former.config);
      return ok(reply.changes);
    }
    jobs.setIdentities(keysOf(former));
    this.#active = former;
    const message = reply?.type === "error" ? reply.message : "the new configuration was not taken";
    return err({ code: "config", message: `${config.file}: ${message}` });
  }
}

export function logReload(log: Log, report: Result<ReloadReport, Problem>): void {
  if (!report.ok) {
    for (const line of report.error.message.split("\n"))
      log.error("reload-refused", `nothing was changed: ${line}`);
    return;
  }
  const { needsRestart, ...applied } = report.value;
  log.info("reloaded", "reloaded the configuration", { ...applied });
  if (needsRestart.length > 0) {
    log.warn("restart-needed", "some settings take effect only after a restart", { settings: needsRestart });
  }
}
