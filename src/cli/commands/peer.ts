/** hipctl peer list, show, add, remove. */
import type { Command } from "commander";
import { contextOf } from "../context.ts";
import { type Io, table } from "../output.ts";
import { type PeerView, peerColumns, peerText } from "../views.ts";
import { show, WATCH_FLAG, WATCH_HELP } from "../watch.ts";

interface AddOptions {
  readonly hit?: string;
  readonly locator?: readonly string[];
  readonly encapsulation?: string;
  readonly identity?: string;
  readonly inboundFamily?: string;
  readonly dns?: string;
  readonly keep?: boolean;
}

const collect = (value: string, former: readonly string[] = []): readonly string[] => [...former, value];

export function addPeer(program: Command, io: Io): void {
  const peer = program.command("peer").description("list, show, add and remove peers");

  peer
    .command("list")
    .description("show all peers")
    .option("--hosts", "as lines for /etc/hosts")
    .option("--names", "only their names")
    .option(WATCH_FLAG, WATCH_HELP)
    .action(async (options: { hosts?: boolean; names?: boolean; watch?: boolean }, command: Command) => {
      const text = ({ peers }: { peers: readonly PeerView[] }): string => {
        if (options.hosts) return hostsText(peers);
        if (options.names) return peers.map((each) => `${each.name}\n`).join("");
        return table(peers, peerColumns(io.now()), io.color, io.terminal?.columns());
      };
      await show(contextOf(command, io), { method: "ListPeers", text }, options.watch === true);
    });

  peer
    .command("show <peer>")
    .description("show one peer, given by name, HIT or LSI")
    .option(WATCH_FLAG, WATCH_HELP)
    .action(async (peer: string, options: { watch?: boolean }, command: Command) => {
      const text = (view: PeerView): string => peerText(view, io.now(), io.color);
      await show(
        contextOf(command, io),
        { method: "GetPeer", request: { peer }, text },
        options.watch === true,
      );
    });

  peer
    .command("add <name>")
    .description("allow a peer, at once")
    .option("--hit <hit>", "its HIT; without it whoever answers is believed (opportunistic mode)")
    .option(
      "--locator <address>",
      "where it is, best first: 192.0.2.10 or [2001:db8::10]:10500 (may be repeated)",
      collect,
    )
    .option("--encapsulation <kind>", "udp, or none for IP protocols 139 and 50")
    .option("--identity <identity>", "which of our identities it is shown")
    .option("--inbound-family <family>", "hit or lsi: what its packets become when nothing tells")
    .option("--dns <name>", "its name in DNS, which says where it is (RFC 8005; [dns] dns_peers)")
    .option("--keep", "also after a restart: write it to peers.d")
    .action(async (name: string, options: AddOptions, command: Command) => {
      const context = contextOf(command, io);
      const view = await context.call<PeerView>("AddPeer", {
        name,
        hit: options.hit,
        locators: options.locator ?? [],
        carrier: options.encapsulation,
        identity: options.identity,
        inboundFamily: options.inboundFamily,
        dns: options.dns,
        keep: options.keep === true,
      });
      context.print(view, () => {
        const kept = view.file === "" ? "until hipd restarts; add --keep to keep it" : `kept in ${view.file}`;
        return `added ${view.name}${view.lsi === null ? "" : `, LSI ${view.lsi}`} (${kept})\n`;
      });
    });

  peer
    .command("remove <peer>")
    .description("forbid a peer, at once, and close its association")
    .option("--keep", "also after a restart: remove its file from peers.d")
    .action(async (reference: string, options: { keep?: boolean }, command: Command) => {
      const context = contextOf(command, io);
      const removed = await context.call<{ name: string }>("RemovePeer", {
        peer: reference,
        keep: options.keep === true,
      });
      context.print(removed, () => `removed ${removed.name}\n`);
    });
}

/** Lines of hosts(5): the LSI and the HIT of each peer under NAME and NAME.hip. */
export function hostsText(peers: readonly PeerView[]): string {
  return peers
    .flatMap((peer) =>
      [peer.lsi, peer.hit].map((address) =>
        address === null ? "" : `${address} ${peer.name}.hip ${peer.name}\n`,
      ),
    )
    .join("");
}
