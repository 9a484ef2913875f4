/** Whether hipd runs, answers, and is the version that it should be. */
import { duration } from "../output.ts";
import type { Finding } from "../verdict.ts";
import type { DaemonFacts, Known, Plan, UnitFacts } from "./facts.ts";
import { AS_ROOT, say, unitName } from "./say.ts";

export function checkDaemon(
  { answers, processes }: DaemonFacts,
  unit: Known<UnitFacts>,
  plan: Plan,
): readonly Finding[] {
  const { ok, problem, notChecked } = say("daemon");
  if (answers.ok) {
    const { version, uptimeSeconds, self, peers } = answers.value.status;
    const up = answers.value.associations.filter(({ state }) => state === "ESTABLISHED").length;
    const many = `${up} of ${peers.length} peer${peers.length === 1 ? "" : "s"} associated`;
    const text = `hipd ${version} answers on ${plan.socket}, up ${duration(uptimeSeconds)}, ${self.hit}, ${many}`;
    return [ok(text)];
  }
  const { code, message } = answers.error;
  if (code === "denied") return [notChecked(message, AS_ROOT)];
  const start =
    unit.ok && unit.value.loaded ? `systemctl start ${unit.value.name}` : `hipd --config ${plan.file}`;
  const here = processes.find((each) => each.here);
  if (code === "timeout" || (here !== undefined && code !== "unreachable")) {
    const pid = here === undefined ? "" : ` (process ${here.pid})`;
    const remedy =
      unit.ok && unit.value.loaded ? `systemctl restart ${unit.value.name}` : `kill it and run: ${start}`;
    return [problem(`hipd${pid} does not answer in time: ${message}`, `hipctl bundle, then: ${remedy}`)];
  }
  if (here !== undefined) {
    const text = `a hipd runs (process ${here.pid}), but not on this socket: ${message}`;
    return [problem(text, "name its socket: hipctl --socket PATH doctor, or --config FILE")];
  }
  const text = `hipd does not run: ${message.replace(/ \(is it running\?.*$/, "")}`;
  const other = processes[0];
  if (other === undefined) return [problem(text, start)];
  return [
    problem(
      `${text}; one runs in another network namespace (process ${other.pid})`,
      `${start}; if that one is meant: nsenter --net --target ${other.pid} hipctl doctor`,
    ),
  ];
}

export function checkVersions({ answers }: DaemonFacts, hipctl: string, plan: Plan): readonly Finding[] {
  const { ok, warning, notChecked } = say("versions");
  if (!answers.ok) return [notChecked(`hipctl ${hipctl}; hipd does not answer`)];
  const { version } = answers.value.status;
  if (version === hipctl) return [ok(`hipd and hipctl ${hipctl}`)];
  return [
    warning(
      `hipd ${version} runs, and hipctl is ${hipctl}: an upgrade without a restart, or two installations`,
      `systemctl restart ${unitName(plan.file)}`,
    ),
  ];
}

/** What hipd's exit status said, docs/EXIT-STATUS.md. */
const ENDINGS: Readonly<Record<number, string>> = {
  1: "it could not start",
  2: "wrong usage",
  3: "the configuration is wrong",
  4: "a right is lacking, or a private key is not private",
};

export function checkUnit(unit: Known<UnitFacts>, running: boolean): readonly Finding[] {
  const { ok, warning, problem, notChecked } = say("unit");
  if (!unit.ok) return [notChecked(unit.error)];
  const { name, loaded, active, sub, result, enabled, restarts, status, needsReload, errors } = unit.value;
  if (!loaded) {
    return [
      running ? ok(`hipd runs without systemd; there is no ${name}`) : notChecked(`there is no ${name}`),
    ];
  }
  const findings: Finding[] = [];
  const last = errors.at(-1);
  if (active === "failed") {
    const why = `${result}, status ${status}${ENDINGS[status] === undefined ? "" : ` (${ENDINGS[status]})`}`;
    findings.push(
      problem(
        `${name} has failed: ${why}${last === undefined ? "" : `; its log ends: ${last}`}`,
        `journalctl -u ${name} -n 50; when it is mended: systemctl restart ${name}`,
      ),
    );
  } else if (active === "active") {
    const often = restarts > 0 ? `, restarted ${restarts} times by systemd` : "";
    const text = `${name} is active (${sub})${often}`;
    findings.push(restarts > 0 ? warning(text, `journalctl -u ${name} -p warning`) : ok(text));
  } else if (running) {
    findings.push(
      warning(`hipd runs, but not as ${name} (${active})`, `stop it, then: systemctl start ${name}`),
    );
  } else findings.push(problem(`${name} is ${active} (${sub})`, `systemctl start ${name}`));
  if (enabled !== "enabled" && enabled !== "static" && enabled !== "enabled-runtime" && enabled !== "") {
    findings.push(
      warning(`${name} is ${enabled}: it does not start with the machine`, `systemctl enable ${name}`),
    );
  }
  if (needsReload) {
    findings.push(warning(`${name} was changed on disk since systemd read it`, "systemctl daemon-reload"));
  }
  return findings;
}
