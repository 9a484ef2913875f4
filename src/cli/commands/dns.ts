/** hipctl dns: how names of peers reach applications on this machine, and the switch of it that only root may turn. */
import type { Command } from "commander";
import { HOSTS_FILE, type HostLine, writeHostsBlock } from "../../runtime/dns/hosts-file.ts";
import type { NamesStatus } from "../../runtime/dns/names.ts";
import {
  applyResolved,
  isApplied,
  RUN,
  type Run,
  revertResolved,
  serverText,
  whyNoResolved,
  whyNotOurs,
  whyNotTunnel,
} from "../../runtime/dns/resolved.ts";
import { CommandFailure, contextOf } from "../context.ts";
import { EXIT } from "../exit.ts";
import { type Io, pairs, table } from "../output.ts";

const DEFAULT_INTERFACE = "hip0";

/** Which way names take at this moment. */
export interface Wiring {
  readonly way: "resolved" | "hosts" | "none";
  readonly reason: string;
}

interface NamedPeer {
  readonly name: string;
  readonly lsi: string | null;
  readonly hit: string | null;
}

export function addDns(program: Command, io: Io, run: Run = RUN, hosts: string = HOSTS_FILE): void {
  const dns = program
    .command("dns")
    .description("names of peers: show and switch how this machine asks for them");

  dns
    .command("status")
    .description("show who answers for names of peers, who asks there, and what DNS says about peers")
    .action(async (_options, command: Command) => {
      const context = contextOf(command, io);
      const status = await context.call<NamesStatus>("GetNames");
      const wiring = await wiringOf(status, run);
      context.print({ ...status, wiring: wiring.way, wiringReason: wiring.reason }, () =>
        statusText(status, wiring, io.color),
      );
    });

  dns
    .command("on")
    .description("let systemd-resolved ask hipd for names of peers (as root; the service unit does it)")
    .option("--hosts", `instead, write the names of now to ${HOSTS_FILE}`)
    .option("--quiet", "say nothing, and do not fail, where systemd-resolved does not run")
    .action(async (options: { hosts?: boolean; quiet?: boolean }, command: Command) => {
      const context = contextOf(command, io);
      const status = await context.call<NamesStatus>("GetNames");
      if (options.hosts === true) {
        const { peers } = await context.call<{ peers: readonly NamedPeer[] }>("ListPeers");
        const written = orFailed(writeHostsBlock(hosts, status.interface, hostLines(peers, status.domain)));
        context.print(
          { changed: written },
          () => `${peers.length} names stand in ${hosts}; hipctl dns off removes them\n`,
        );
        return;
      }
      const why =
        status.listen === null
          ? status.listenReason
          : ((await whyNoResolved(run)) ?? whyNotOurs() ?? whyNotTunnel(status));
      if (why !== undefined) {
        if (options.quiet === true) return;
        throw new CommandFailure(
          EXIT.failed,
          `systemd-resolved cannot be told: ${why}. Without it: [dns] hosts_file = true, or hipctl dns on --hosts`,
        );
      }
      orFailed(await applyResolved(status, run), EXIT.permission);
      if (options.quiet === true) return;
      context.print(
        { changed: true },
        () => `systemd-resolved asks ${serverText(status)} for ~${status.zones[0]}\n`,
      );
    });

  dns
    .command("off")
    .description(`undo it: at systemd-resolved and in ${HOSTS_FILE} (as root; works without hipd)`)
    .option("--interface <name>", "the overlay's interface", DEFAULT_INTERFACE)
    .action(async (options: { interface: string }, command: Command) => {
      const context = contextOf(command, io);
      const done: string[] = [];
      if ((await whyNoResolved(run)) === undefined && whyNotOurs() === undefined) {
        const reverted = await revertResolved(options.interface, run);
        if (reverted.ok) done.push(`systemd-resolved asks nothing of ${options.interface} any more`);
        else if (!/not (known|found)|no such/i.test(reverted.error)) orFailed(reverted, EXIT.permission);
      }
      if (orFailed(writeHostsBlock(hosts, options.interface, [])))
        done.push(`removed the names from ${hosts}`);
      context.print({ done }, () => `${done.join("\n") || "there was nothing to undo"}\n`);
    });
}

/** Asked of systemd-resolved itself: others may have changed it since. */
export async function wiringOf(status: NamesStatus, run: Run): Promise<Wiring> {
  const hosts = /^[0-9]/.test(status.hosts);
  const none = (reason: string): Wiring =>
    hosts ? { way: "hosts", reason: `${status.hosts}; ${reason}` } : { way: "none", reason };
  if (status.listen === null) return none(`nobody answers: ${status.listenReason}`);
  const why = await whyNoResolved(run);
  if (why !== undefined) return none(why);
  if (await isApplied(status, run)) {
    return { way: "resolved", reason: `for ~${status.zones[0]} and the reverse zones` };
  }
  return none("systemd-resolved runs, but was not told to; as root: hipctl dns on");
}

export function hostLines(peers: readonly NamedPeer[], domain: string): readonly HostLine[] {
  return peers.flatMap(({ name, lsi, hit }) =>
    [lsi, hit].flatMap((address) => (address === null ? [] : [{ address, name: `${name}.${domain}` }])),
  );
}

export function statusText(status: NamesStatus, wiring: Wiring, color: boolean): string {
  const { listen, listenReason, domain, name, zones, hosts, dnsPeers, peers } = status;
  const ways = { resolved: "systemd-resolved,", hosts: "nobody, but they stand in a file:", none: "nobody:" };
  const head = pairs(
    [
      ["responder", listen === null ? `none (${listenReason})` : `${listen} (${listenReason})`],
      ["domain", `${domain}, and ${zones.length - 1} reverse zones`],
      ["this host", name],
      ["asked by", `${ways[wiring.way]} ${wiring.reason}`],
      ["hosts file", hosts],
      ["DNS peers", dnsPeers ? String(peers.length) : "off: [dns] dns_peers = false"],
    ],
    color,
  );
  if (peers.length === 0) return head;
  const rows = table(
    peers,
    [
      { title: "PEER", value: (each) => each.peer },
      { title: "NAME IN DNS", value: (each) => each.name },
      {
        title: "STATE",
        value: (each) => (each.state === "known" && each.validated ? "validated" : each.state),
        style: (each) => (each.state === "known" ? "green" : each.state === "failed" ? "red" : "dim"),
      },
      { title: "HITS", value: (each) => String(each.hits.length), align: "right" },
      { title: "ADDRESSES", value: (each) => each.addresses.join(" ") },
      { title: "NEXT", value: (each) => `${each.nextSeconds} s`, align: "right" },
      { title: "REMARK", value: (each) => each.error ?? "" },
    ],
    color,
  );
  return `${head}\n${rows}`;
}

function orFailed<T>(
  result: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string },
  status: CommandFailure["status"] = EXIT.failed,
): T {
  if (result.ok) return result.value;
  throw new CommandFailure(
    /permission|denied|authentication/i.test(result.error) ? EXIT.permission : status,
    result.error,
  );
}
