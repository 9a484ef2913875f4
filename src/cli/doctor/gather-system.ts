/** What the system around hipd says: its service manager, packet filters, clock and resolver. */

import { lookup } from "node:dns/promises";
import { existsSync } from "node:fs";
import { err, ok } from "../../core/types.ts";
import { RUN } from "../../runtime/dns/resolved.ts";
import { addresses, links, routes } from "../../runtime/network.ts";
import { wiringOf } from "../commands/dns.ts";
import { runTool } from "../tools.ts";
import type {
  Answers,
  FilterFacts,
  Known,
  MachineFacts,
  NameFacts,
  NetworkFacts,
  UnitFacts,
} from "./facts.ts";
import { unitName } from "./say.ts";

const UNIT_PROPERTIES = [
  "LoadState",
  "ActiveState",
  "SubState",
  "Result",
  "UnitFileState",
  "NRestarts",
  "ExecMainStatus",
  "NeedDaemonReload",
];
/** Log lines that are looked at. */
const LOG_LINES = 200;
const MAX_ERRORS = 5;

export async function gatherUnit(configFile: string): Promise<Known<UnitFacts>> {
  if (!existsSync("/run/systemd/system")) return err("systemd does not run here");
  if (!configFile.startsWith("/etc/hipd/")) return err(`no unit runs hipd with ${configFile}`);
  const name = unitName(configFile);
  const shown = await runTool("systemctl", "show", name, `--property=${UNIT_PROPERTIES.join(",")}`);
  if (!shown.ok) return shown;
  const log = await runTool(
    "journalctl",
    "-u",
    name,
    "-n",
    String(LOG_LINES),
    "-o",
    "cat",
    "--no-pager",
    "-q",
  );
  return ok(parseUnit(name, shown.value, log.ok ? log.value : ""));
}

export function parseUnit(name: string, shown: string, log: string): UnitFacts {
  const values = new Map(
    shown
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)] as const),
  );
  const value = (property: string): string => values.get(property) ?? "";
  return {
    name,
    loaded: value("LoadState") === "loaded",
    active: value("ActiveState"),
    sub: value("SubState"),
    result: value("Result"),
    enabled: value("UnitFileState"),
    restarts: Number(value("NRestarts")) || 0,
    status: Number(value("ExecMainStatus")) || 0,
    needsReload: value("NeedDaemonReload") === "yes",
    errors: log
      .split("\n")
      .map(errorIn)
      .filter((line) => line !== undefined)
      .slice(-MAX_ERRORS),
  };
}

/** Errors in hipd's log are JSON; before it has a log, they begin with its name. */
function errorIn(line: string): string | undefined {
  if (line.startsWith("hipd: ")) return line.slice("hipd: ".length);
  if (!line.startsWith("{")) return undefined;
  try {
    const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown };
    const error = level === "error" || (typeof level === "number" && level >= 50);
    return error && typeof msg === "string" ? msg : undefined;
  } catch {
    return undefined;
  }
}

export async function gatherFilters(): Promise<FilterFacts> {
  const [nft, iptables, ip6tables] = await Promise.all([
    runTool("nft", "-j", "list", "ruleset"),
    runTool("iptables-save"),
    runTool("ip6tables-save"),
  ]);
  return { nft: nft.ok ? parsed(nft.value) : nft, iptables, ip6tables };
}

function parsed(text: string): Known<unknown> {
  try {
    return ok(JSON.parse(text) as unknown);
  } catch {
    return err("nft: what it prints is not JSON; it may be too old");
  }
}

export async function gatherClock(): Promise<MachineFacts["clock"]> {
  const chrony = await runTool("chronyc", "-n", "tracking");
  if (chrony.ok) {
    const leap = /^Leap status\s*:\s*(.*)$/m.exec(chrony.value)?.[1] ?? "";
    return { by: "chrony", synchronised: leap !== "Not synchronised", detail: leap };
  }
  const shown = await runTool("timedatectl", "show", "--property=NTP,NTPSynchronized");
  if (!shown.ok || !/NTPSynchronized=/.test(shown.value)) return undefined;
  const synchronised = /^NTPSynchronized=yes$/m.test(shown.value);
  const detail = synchronised || /^NTP=yes$/m.test(shown.value) ? "" : "NTP is off";
  return { by: "timedatectl", synchronised, detail };
}

/** From the kernel itself; needs the addon, but no rights. */
export function gatherNetwork(): Known<NetworkFacts> {
  try {
    return ok({ links: links(), addresses: addresses(), routes: routes() });
  } catch (error) {
    return err((error as Error).message);
  }
}

/** Who is asked for names of peers here, and one of them through the system's resolver. */
export async function gatherNames({ status, names }: Answers): Promise<NameFacts | undefined> {
  if (names === undefined) return undefined;
  const wiring = await wiringOf(names, RUN);
  const peer = status.peers.find(({ hit, lsi }) => hit !== null && lsi !== null);
  if (peer === undefined || wiring.way === "none") return { status: names, wiring, lookup: undefined };
  const name = `${peer.name}.${names.domain}`;
  const expected = [peer.hit, peer.lsi].filter((address) => address !== null);
  return { status: names, wiring, lookup: { name, expected, found: await resolved(name) } };
}

async function resolved(name: string): Promise<Known<readonly string[]>> {
  try {
    const found = await lookup(name, { all: true });
    return ok([...new Set(found.map(({ address }) => address))]);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return err(code === "ENOTFOUND" ? "no such name" : (code ?? "no answer"));
  }
}
