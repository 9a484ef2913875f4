/** What goes into a support archive. Key files are never opened. */
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "smol-toml";
import { err, ok, type Result } from "../../core/types.ts";
import type { ControlClient } from "../../runtime/control-client.ts";
import { eventFrom } from "../../runtime/control-convert.ts";
import { readUnlinked, whyNot } from "../../runtime/files.ts";
import { diagnosisText, summed } from "../commands/doctor.ts";
import { carrierOf } from "../commands/takeover.ts";
import { diagnose } from "../doctor/doctor.ts";
import type { Facts } from "../doctor/facts.ts";
import { unitName } from "../doctor/say.ts";
import { netReport } from "../netcheck/report.ts";
import { reportText } from "../netcheck/text.ts";
import { type Io, json, jsonLine } from "../output.ts";
import { runTool } from "../tools.ts";
import type { Entry } from "./archive.ts";

/** A part of the archive, or why it is missing. */
export type Part = Pick<Entry, "name" | "keep"> & { readonly content: Result<string, string> };

const PEER_FILES = "config/peers.d/";
/** Files of peers.d that are taken along. */
const MAX_PEER_FILES = 1_000;
const JOURNAL_LINES = "4000";
const METRICS_MILLIS = 3_000;
/** Events come at once; when none has come for so long, all are there. */
const EVENTS_QUIET_MILLIS = 150;

const SYSTEM_TOOLS: readonly (readonly [file: string, ...command: string[]])[] = [
  ["ip-link.txt", "ip", "-d", "-s", "link"],
  ["ip-address.txt", "ip", "address"],
  ["ip-route.txt", "ip", "route", "show", "table", "all"],
  ["ip6-route.txt", "ip", "-6", "route", "show", "table", "all"],
  ["ip-rule.txt", "ip", "rule"],
  ["ip6-rule.txt", "ip", "-6", "rule"],
  ["nft.txt", "nft", "list", "ruleset"],
  ["iptables.txt", "iptables-save"],
  ["ip6tables.txt", "ip6tables-save"],
  ["cpu.txt", "lscpu"],
  ["kernel.txt", "uname", "-srvmo"],
];
const SYSTEM_FILES: readonly (readonly [file: string, path: string])[] = [
  ["os-release.txt", "/etc/os-release"],
  ["memory.txt", "/proc/meminfo"],
  ["net-snmp.txt", "/proc/net/snmp"],
  ["softnet.txt", "/proc/net/softnet_stat"],
];

/** Makes a value fit to be shown; tables are drawn afterwards, so that their columns fit. */
export type Shown = <T>(value: T) => T;

/** What hipd and the checks say: all of it is in the facts already. */
export function factParts(facts: Facts, io: Io, shown: Shown): readonly Part[] {
  const { daemon, hipctl } = facts;
  const diagnosis = shown(summed(diagnose(facts)));
  const parts: Part[] = [
    text("doctor.txt", diagnosisText(diagnosis, false)),
    value("doctor.json", diagnosis),
    value("processes.json", daemon.processes),
  ];
  if (!daemon.answers.ok) {
    const missing = err(daemon.answers.error.message);
    return [
      ...parts,
      value("version.json", { hipctl, hipd: null }),
      { name: "status.json", keep: "head", content: missing },
    ];
  }
  const { status, associations, own, peers, whereabouts, names, after } = daemon.answers.value;
  const report = shown(netReport(daemon.answers.value, new Map()));
  return [
    ...parts,
    value("version.json", { hipctl, hipd: status.version }),
    value("status.json", status),
    value("associations.json", { associations }),
    value("locators.json", { own, peers }),
    value("whereabouts.json", whereabouts ?? null),
    value("names.json", names ?? null),
    value("counters.json", Object.fromEntries(Object.entries(after).sort(([a], [b]) => (a < b ? -1 : 1)))),
    value("netcheck.json", report),
    text("netcheck.txt", reportText(report, { ...io, color: false, terminal: undefined })),
  ];
}

export function text(name: string, content: string, keep: Entry["keep"] = "head"): Part {
  return { name, keep, content: ok(content) };
}

export function value(name: string, content: unknown): Part {
  return text(name, json(content));
}

/** The last events that hipd remembers. */
export async function eventPart(client: ControlClient, most: number): Promise<Part> {
  const events: string[] = [];
  let last = performance.now();
  const stream = client.stream<Record<string, unknown>>("WatchEvents", { since: 1 }, (message) => {
    events.push(jsonLine(eventFrom(message)));
    if (events.length > most) events.shift();
    last = performance.now();
  });
  await stream.started;
  // Asked after the events: when this is answered, they are on their way.
  await client.call("GetVersion", {});
  while (performance.now() - last < EVENTS_QUIET_MILLIS) {
    await new Promise((resolve) => setTimeout(resolve, EVENTS_QUIET_MILLIS / 3));
  }
  stream.cancel();
  const ended = await stream.done;
  const failed = !ended.ok && ended.error.code !== "cancelled" && events.length === 0;
  return {
    name: "events.jsonl",
    keep: "tail",
    content: failed ? err(ended.error.message) : ok(events.join("")),
  };
}

/** The page that Prometheus would get. */
export async function metricsPart(listen: string | undefined): Promise<Part> {
  const part = (content: Part["content"]): Part => ({ name: "metrics.prom", keep: "head", content });
  if (listen === undefined) return part(err("[metrics] listen is not set"));
  try {
    const answer = await fetch(`http://${listen}/metrics`, { signal: AbortSignal.timeout(METRICS_MILLIS) });
    return part(ok(await answer.text()));
  } catch (error) {
    const { cause, message } = error as Error & { cause?: unknown };
    return part(err(`http://${listen}/metrics: ${cause === undefined ? message : whyNot(cause)}`));
  }
}

/** hipd.toml and peers.d as they are; `bare`: without comments, which may say anything. */
export function configParts({ plan }: Facts["config"], bare: boolean): readonly Part[] {
  const parts = [configPart("config/hipd.toml", plan.file, bare)];
  let names: readonly string[] = [];
  try {
    names = readdirSync(plan.peersDirectory).filter(
      (name) => name.endsWith(".toml") && !name.startsWith("."),
    );
  } catch {}
  for (const name of [...names].sort().slice(0, MAX_PEER_FILES)) {
    parts.push(configPart(`${PEER_FILES}${name}`, join(plan.peersDirectory, name), bare));
  }
  return [...parts, text("config/files.txt", listing(plan.stateDirectory))];
}

function configPart(name: string, path: string, bare: boolean): Part {
  const part = (content: Part["content"]): Part => ({ name, keep: "head", content });
  try {
    // The service writes into peers.d: a link there could bring any file of root's into the archive.
    const content = name.startsWith(PEER_FILES) ? readUnlinked(path).toString() : readFileSync(path, "utf8");
    if (!bare) return part(ok(content));
    try {
      return part(ok(stringify(parse(content))));
    } catch {
      return part(err("it is not valid TOML, so its comments, which may say anything, cannot be left out"));
    }
  } catch (error) {
    return part(err(`${path}: ${whyNot(error)}`));
  }
}

/** Names, modes and sizes, no contents. */
function listing(folder: string, depth = 0): string {
  let names: readonly string[];
  try {
    names = readdirSync(folder).sort();
  } catch (error) {
    return `${folder}: ${whyNot(error)}\n`;
  }
  return names
    .map((name) => {
      const path = join(folder, name);
      try {
        const stat = lstatSync(path);
        const mode = (stat.mode & 0o7777).toString(8).padStart(4, "0");
        const line = `${mode} ${stat.uid}:${stat.gid} ${String(stat.size).padStart(9)} ${stat.mtime.toISOString()} ${path}\n`;
        return stat.isDirectory() && depth < 2 ? line + listing(path, depth + 1) : line;
      } catch (error) {
        return `${path}: ${whyNot(error)}\n`;
      }
    })
    .join("");
}

/** The machine around it. */
export async function systemParts(configFile: string): Promise<readonly Part[]> {
  const unit = unitName(configFile);
  const tools: readonly (readonly [file: string, ...command: string[]])[] = [
    ...SYSTEM_TOOLS,
    ["unit.txt", "systemctl", "cat", unit],
    ["unit-status.txt", "systemctl", "show", unit],
  ];
  const asked = await Promise.all(
    tools.map(
      async ([file, program = "", ...args]): Promise<Part> => ({
        name: `system/${file}`,
        keep: "head",
        content: await runTool(program, ...args),
      }),
    ),
  );
  const files = SYSTEM_FILES.map(
    ([file, path]): Part => ({ name: `system/${file}`, keep: "head", content: readText(path) }),
  );
  const carrier = carrierOf(unit);
  const journal: Part = {
    name: "journal.txt",
    keep: "tail",
    content: await runTool(
      "journalctl",
      ...[unit, ...(carrier === undefined ? [] : [carrier.unit])].flatMap((name) => ["-u", name]),
      "-n",
      JOURNAL_LINES,
      "-o",
      "short-iso",
      "--no-pager",
      "-q",
    ),
  };
  return [...asked, ...files, journal];
}

function readText(path: string): Result<string, string> {
  try {
    return ok(readFileSync(path, "utf8"));
  } catch (error) {
    return err(`${path}: ${whyNot(error)}`);
  }
}
