/** hipctl locator list, add, remove, prefer; hipctl handover. */
import type { Command } from "commander";
import type { PathView } from "../../overlay/control.ts";
import type {
  OwnLocatorView,
  PairView,
  PeerLocatorsView,
  PeerLocatorView,
} from "../../overlay/locator-views.ts";
import { contextOf, timeSpan } from "../context.ts";
import { ago, type Column, type Io, millis, styled, table } from "../output.ts";
import { pathStyle, pathText, percent } from "../views.ts";
import { show, WATCH_FLAG, WATCH_HELP } from "../watch.ts";

export interface LocatorList {
  readonly own: readonly OwnLocatorView[];
  readonly peers: readonly PeerLocatorsView[];
}

interface HandedOver {
  readonly name: string;
  readonly moved: boolean;
  readonly path: PathView | null;
  readonly millis: number;
}

/** Events after which a list of locators may look different. */
const MOVING_EVENTS: ReadonlySet<string> = new Set([
  "association-closed",
  "association-established",
  "association-failed",
  "cloud-metadata",
  "config-applied",
  "handover",
  "handover-failed",
  "locator-unreachable",
  "locator-verified",
  "locators-announced",
  "own-locators",
  "path-dead",
  "path-mtu",
  "peer-added",
  "peer-changed",
  "peer-locators",
  "peer-removed",
]);

const HANDOVER_TIMEOUT = "5s";
const UNTIL_RESTART = "until hipd restarts; to keep it: [locators] in hipd.toml";

export function addLocator(program: Command, io: Io): void {
  const locator = program
    .command("locator")
    .description("list locators of both sides; add, remove and prefer our own");

  locator
    .command("list [peer]")
    .description("show where this host and its peers are, with state, round trip, loss and MTU")
    .option(WATCH_FLAG, WATCH_HELP)
    .action(async (peer: string | undefined, options: { watch?: boolean }, command: Command) => {
      const text = (list: LocatorList): string => listText(list, io);
      const watched = { method: "ListLocators", request: { peer }, text, events: MOVING_EVENTS };
      await show(contextOf(command, io), watched, options.watch === true);
    });

  locator
    .command("add <address>")
    .description("tell peers that this host is there, too: 203.0.113.5 or [2001:db8::5]:10501")
    .action(async (address: string, _options, command: Command) => {
      const context = contextOf(command, io);
      const list = await context.call<LocatorList>("AddLocator", { locator: address });
      context.print(
        { own: list.own },
        () => `added ${address} (${UNTIL_RESTART} advertise)\n${ownText(list, io)}`,
      );
    });

  locator
    .command("remove <address>")
    .description("tell peers no more that this host is there")
    .action(async (address: string, _options, command: Command) => {
      const context = contextOf(command, io);
      const list = await context.call<LocatorList>("RemoveLocator", { address });
      const kept = `${UNTIL_RESTART} exclude_addresses`;
      context.print({ own: list.own }, () => `removed ${address} (${kept})\n${ownText(list, io)}`);
    });

  locator
    .command("prefer <address>")
    .description('tell peers to prefer this address of ours; "auto": hipd decides again')
    .action(async (address: string, _options, command: Command) => {
      const context = contextOf(command, io);
      const auto = address === "auto";
      const list = await context.call<LocatorList>("PreferLocator", auto ? {} : { address });
      const what = auto ? "hipd decides" : `${address} is preferred until hipd restarts`;
      context.print({ own: list.own }, () => `${what}\n${ownText(list, io)}`);
    });

  program
    .command("handover <peer>")
    .description("move an association to another pair of addresses; without any, back to the policy's choice")
    .option("--to <address>", "the peer's address")
    .option("--from <address>", "our address")
    .option("--timeout <time>", "how long to wait for an answer along that path", HANDOVER_TIMEOUT)
    .action(
      async (peer: string, options: { to?: string; from?: string; timeout: string }, command: Command) => {
        const context = contextOf(command, io);
        const timeoutMillis = timeSpan("--timeout", 100, 60_000)(options.timeout);
        const { to, from } = options;
        const done = await context.call<HandedOver>(
          "Handover",
          { peer, to, from, timeoutMillis },
          timeoutMillis + 5_000,
          `waiting for an answer of ${peer} along that path`,
        );
        context.print(done, () => handoverText(done, to !== undefined || from !== undefined));
      },
    );
}

export function handoverText({ name, moved, path, millis: took }: HandedOver, asked: boolean): string {
  const where = pathText(path) || "no path";
  if (moved) return `${name} moved to ${where} in ${millis(took)}\n`;
  return asked
    ? `${name} is at ${where} already, and stays there\n`
    : `${name} is at ${where}; the policy chooses\n`;
}

export function listText(list: LocatorList, io: Io): string {
  const peers = list.peers.map((peer) => peerText(peer, io));
  return [`${styled("this host", "bold", io.color)}\n${ownText(list, io)}`, ...peers].join("\n");
}

function quality<
  Row extends { rttMillis: number | null; loss: number | null; mtu: number | null },
>(): readonly Column<Row>[] {
  return [
    {
      title: "RTT",
      value: (row) => (row.rttMillis === null ? "" : millis(row.rttMillis)),
      align: "right",
    },
    { title: "LOSS", value: (row) => percent(row.loss), align: "right" },
    { title: "MTU", value: (row) => (row.mtu === null ? "" : String(row.mtu)), align: "right", spare: 3 },
  ];
}

function ownText({ own }: LocatorList, io: Io): string {
  if (own.length === 0) return "no locators: no interface has an address that peers could reach\n";
  return table(
    own,
    [
      { title: "  LOCATOR", value: (each) => `${each.preferred ? "*" : " "} ${each.address}` },
      {
        title: "STATE",
        value: (each) => each.state,
        style: (each) => (each.state === "offered" ? "green" : "dim"),
      },
      { title: "SOURCE", value: (each) => each.source },
      { title: "INTERFACE", value: (each) => each.interface ?? "", spare: 2 },
      { title: "AGE", value: (each) => ago(each.since, io.now()), align: "right", spare: 4 },
      ...quality<OwnLocatorView>(),
      { title: "REMARK", value: (each) => each.reason ?? "", spare: 1 },
    ],
    io.color,
    io.terminal?.columns(),
  );
}

function peerText({ name, hit, locators, paths }: PeerLocatorsView, io: Io): string {
  const head = `${styled(name, "bold", io.color)}${hit === null ? "" : ` (${hit})`}\n`;
  const where = table(
    locators,
    [
      { title: "  LOCATOR", value: (each: PeerLocatorView) => `${each.inUse ? "*" : " "} ${each.address}` },
      {
        title: "STATE",
        value: (each) => each.state,
        style: (each) => (each.state === "ACTIVE" ? "green" : each.state === "UNVERIFIED" ? "yellow" : "dim"),
      },
      { title: "SOURCE", value: (each) => `${each.source}${each.preferred ? ", preferred" : ""}` },
      { title: "AGE", value: (each) => ago(each.since, io.now()), align: "right", spare: 4 },
      ...quality<PeerLocatorView>(),
    ],
    io.color,
    io.terminal?.columns(),
  );
  if (paths.length === 0) return head + where;
  const pairs = table(
    paths,
    [
      { title: "  PATH", value: (each: PairView) => `${each.inUse ? "*" : " "} ${pathText(each.path)}` },
      { title: "STATE", value: (each) => each.state, style: (each) => pathStyle(each.state) },
      { title: "HEARD", value: (each) => ago(each.heardAt, io.now()), align: "right", spare: 4 },
      ...quality<PairView>(),
    ],
    io.color,
    io.terminal?.columns(),
  );
  return head + where + pairs;
}
