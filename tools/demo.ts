/**
 * `make demo`: two machines that share no network, a hipd in each, and applications that talk between them by identity.
 * Exit status 0 only when every step worked.
 */
import { styleText } from "node:util";
import { formatHit, hitFromBytes } from "../src/core/ip.ts";
import { dump } from "../src/wire/dump.ts";
import { Capture } from "./lab/capture.ts";
import { Daemon, introduce, type Side } from "./lab/daemon.ts";
import { Lab, type RoutedPair, routedPair, unavailable } from "./lab/lab.ts";
import { espPacket, hipPacket, type IpPacket, includes, isOverlayCarrier, TCP, UDP } from "./lab/packet.ts";
import { ping as icmpPing } from "./lab/ping.ts";

const MEGABYTES = 25;
const SECRET = "the plans for the new engine";

let step = 0;

function title(text: string): void {
  console.log(`\n${styleText("bold", `${++step}. ${text}`)}`);
}

function say(text: string): void {
  for (const line of text.trimEnd().split("\n")) console.log(`   ${line}`);
}

function good(text: string): void {
  say(`${styleText("green", "ok")}  ${text}`);
}

function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

const reason = unavailable();
if (reason !== undefined) {
  console.error(`The demo makes network namespaces and a TUN device: it ${reason}.`);
  process.exit(1);
}

const begun = performance.now();
console.log("hipd connects machines by who they are, not by where they are. This is all it takes.");
const lab = Lab.create();
try {
  await show(await routedPair(lab, { labels: ["alice", "bob"] }));
  await lab.close();
  title("Gone");
  good(`both machines, their daemons and files are removed (${seconds(begun)} in all)`);
} catch (error) {
  await lab.close();
  console.error(
    `\n${styleText("red", "The demo failed")}: ${error instanceof Error ? error.message : error}`,
  );
  process.exitCode = 1;
}

async function show(network: RoutedPair): Promise<void> {
  const alice: Side = { ...network.a, daemon: new Daemon(lab, network.a.namespace) };
  const bob: Side = { ...network.b, daemon: new Daemon(lab, network.b.namespace) };
  introduce(alice, bob);
  title("Two machines on two networks, with a router between them");
  say(`alice  ${network.a.ipv4} ----- router ----- ${network.b.ipv4}  bob`);

  title("A hipd in each; each knows the other's identity and one address");
  await Promise.all([alice.daemon.start(), bob.daemon.start()]);
  for (const side of [alice, bob]) await identity(side);
  await names(alice, bob);

  title("alice pings bob's identity: the first packet waits while they prove who they are");
  await exchange(network, alice, bob);

  title("Every address form works for every application");
  const wire = await Capture.start(network.router, "to-bob", "", 2048);
  await applications(alice, bob);

  title("What the two daemons say (hipctl status)");
  for (const { daemon } of [alice, bob]) {
    say(styleText("dim", `${daemon.namespace.label}$ hipctl status`));
    const done = await daemon.ctl("status");
    must(done.status === 0, `hipctl status: ${done.stderr}`);
    say(done.stdout);
    console.log();
  }

  title("What the router saw of all that");
  eavesdrop(await wire.stop());

  title("A clean stop");
  const [first, second] = [await alice.daemon.stop(), await bob.daemon.stop()];
  must(first === 0 && second === 0, `the daemons ended with status ${first} and ${second}`);
  good("both daemons closed the association and ended");
}

async function identity({ daemon }: Side): Promise<void> {
  const { self } = await daemon.status();
  say(`${daemon.namespace.label.padEnd(6)} HIT ${self.hit}   LSI ${self.lsi}`);
}

/** Names as an administrator gives them: the lines of `hipctl peer list --hosts` in /etc/hosts. */
async function names(...sides: readonly Side[]): Promise<void> {
  for (const { daemon } of sides) {
    const done = await daemon.ctl("peer", "list", "--hosts");
    must(done.status === 0, `hipctl peer list --hosts: ${done.stderr}`);
    const entries = done.stdout
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s+/));
    daemon.namespace.hosts(
      entries.flatMap(([address = "", ...aliases]) => aliases.map((alias) => [address, alias] as const)),
    );
  }
}

async function exchange(network: RoutedPair, alice: Side, bob: Side): Promise<void> {
  const capture = await Capture.start(network.router, "to-alice");
  const first = await icmpPing(alice.daemon.namespace, bob.daemon.hit, 1);
  must(first.received === 1, `the first ping was not answered:\n${first.output}`);
  await capture.until((packet) => espPacket(packet) !== undefined, "ESP packet");
  const packets = (await capture.stop()).filter((packet) => hipPacket(packet) !== undefined);
  const start = packets[0]?.time ?? 0;
  for (const packet of packets) {
    const hip = hipPacket(packet) as Uint8Array;
    const from = packet.source === alice.ipv4 ? "alice" : "bob";
    const at = `${((packet.time - start) / 1000).toFixed(1)} ms`.padStart(9);
    say(`${at}  ${from.padEnd(5)} ${wrap(dump(hip), 18)}`);
  }
  const sender =
    packets[0] === undefined
      ? ""
      : formatHit(hitFromBytes((hipPacket(packets[0]) as Uint8Array).slice(8, 24)));
  must(sender === alice.daemon.hit, "the I1 does not carry alice's HIT");
  good(`answered after ${first.millis.toFixed(1)} ms, the exchange included`);
}

async function applications(alice: Side, bob: Side): Promise<void> {
  const [here, there] = await Promise.all([alice.daemon.namespace.agent(), bob.daemon.namespace.agent()]);
  const [tcp, udp] = [await there.serveTcp(), await there.serveUdp()];
  for (const [kind, address] of [
    ["LSI", await alice.daemon.lsi("bob")],
    ["HIT", bob.daemon.hit],
    ["name", "bob"],
  ] as const) {
    const echo = await icmpPing(alice.daemon.namespace, address, 3);
    must(echo.received === 3, `ping by ${kind}:\n${echo.output}`);
    if (kind !== "name") {
      const said = await here.sendUdp(address, udp, { count: 5, text: SECRET });
      must(said.received === 5, `${said.received} of 5 UDP datagrams came back by ${kind}`);
    }
    const moved = await here.sendTcp(address, tcp, MEGABYTES * 1_000_000);
    must(moved.error === undefined, `TCP by ${kind}: ${moved.error}`);
    must(moved.sentHash === moved.receivedHash, `TCP by ${kind}: the data arrived changed`);
    const rate = (MEGABYTES * 8) / moved.millis;
    good(
      `by ${kind.padEnd(4)} ${address.padEnd(39)} ping ${echo.millis.toFixed(2)} ms, ` +
        `${MEGABYTES} MB over TCP unchanged at ${rate.toFixed(2)} Gbit/s`,
    );
  }
}

function eavesdrop(packets: readonly IpPacket[]): void {
  const overlay = packets.filter(isOverlayCarrier);
  const esp = packets.filter((packet) => espPacket(packet) !== undefined);
  const plain = packets.filter(
    (packet) => (packet.protocol === TCP || packet.protocol === UDP) && !isOverlayCarrier(packet),
  );
  const telling = packets.filter((packet) => includes(packet.bytes, SECRET));
  const sample = esp.findLast((packet) => packet.length > 1000) ?? esp.at(-1);
  must(sample !== undefined, "no ESP packet was captured");
  const content = espPacket(sample) as Uint8Array;
  say(
    `one packet: ${sample.source}:${sample.sourcePort} > ${sample.destination}:${sample.destinationPort}, ${sample.length} bytes`,
  );
  say(`ESP, SPI ${hex(content.subarray(0, 4))}, sequence ${hex(content.subarray(4, 8))}, then ciphertext:`);
  for (let at = 0; at < Math.min(64, content.length); at += 16) {
    say(`  ${(hex(content.subarray(at, at + 16)).match(/../g) ?? []).join(" ")}`);
  }
  must(plain.length === 0, `${plain.length} TCP or UDP packets went over the wire in the clear`);
  must(telling.length === 0, `"${SECRET}" was readable on the wire`);
  good(
    `${overlay.length} packets, ${esp.length} of them ESP; no other TCP or UDP, and "${SECRET}" in none of them`,
  );
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Breaks a long line at blanks; the continuation is indented. */
function wrap(text: string, indent: number): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1) as string;
    if (last.length + word.length > 100) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines.join(`\n   ${" ".repeat(indent)}`);
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
