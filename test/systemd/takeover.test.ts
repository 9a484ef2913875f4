/** Restarts, an upgrade and a downgrade while everything is in use: connections go on. */
import { beforeAll, expect, test } from "vitest";
import { longestGap, lostOf, monotonic, Pulse } from "../../tools/lab/pulse.ts";
import { KINDS, type Session } from "../netns/sessions.ts";
import { Flood } from "./flood.ts";
import { NEWER, OLDER } from "./packages.ts";
import { installed, type Member, sharedMachines, suite } from "./support.ts";

const RESTARTS = 10;
/** Milliseconds: what the longest gap stays below on a machine that does nothing else, and what is added where CI shares it with others. */
const TARGET = 100;
const MARGIN = process.env["CI"] === undefined ? 0 : 300;
/** More than is sent in the time. */
const BYTES = 4_000_000_000;
const RATE = "200mbit";

/** Milliseconds. */
interface Gap {
  readonly what: string;
  /** Without a datagram, and without an answer to a ping. */
  readonly millis: number;
  readonly flood: number;
  readonly hipd: number;
  readonly carried: number;
  /** Without a datagram in the time before, in which nothing was done. */
  readonly before: number;
}

/** Datagrams, one a millisecond, by which the machine without restarts is known. */
const CALM = 600;
/** Milliseconds without a datagram that a machine of our own does not have. */
const CALM_GAP = 15;

/** What the hipd that runs now says of how it began. */
async function tookOver(member: Member): Promise<{ by: string; hipd: number; carried: number }> {
  const journal = await member.machine.run(["journalctl", "-q", "-o", "cat", "-u", "hipd.service"]);
  const line = journal.split("\n").findLast((text) => text.includes('"event":"took-over"')) ?? "{}";
  const { by, millis, carried } = JSON.parse(line) as { by: string; millis: number; carried: number };
  return { by, hipd: millis, carried };
}

suite("restarts under load", () => {
  const machines = sharedMachines();
  const gaps: Gap[] = [];

  beforeAll(async () => {
    await installed(machines());
  });

  test(`a TCP transfer, an ssh session and a ping flood survive ${RESTARTS} restarts, an upgrade and a downgrade`, {
    timeout: 240_000,
  }, async () => {
    const { a, b, lab, router } = machines();
    const [from, to] = [a.machine.namespace, b.machine.namespace];
    const hit = await b.hit();
    await router.rate("to-west", RATE);
    const serving = await to.agent();
    const port = await serving.serveTcp();
    const sending = await from.agent();
    const sent = sending.sendTcp(hit, port, BYTES, 220_000);
    await serving.arrived(1_000_000);
    const ssh = KINDS.find(({ name }) => name === "ssh");
    if (ssh === undefined || ssh.missing !== undefined) throw new Error(`no ssh here: ${ssh?.missing}`);
    const session = await ssh.open(from, to, hit, lab.folder);
    await session.say();
    const flood = await Flood.start(from, hit);
    const pulse = await Pulse.start(from, to, hit, 7100);
    const associations = [await a.associationWith(b.name), await b.associationWith(a.name)];

    const during = async (what: string, member: Member, action: () => Promise<unknown>): Promise<void> => {
      const calm = monotonic();
      await pulse.beats(CALM);
      const before = longestGap(await pulse.report(), calm);
      const start = monotonic();
      const process = await member.property("MainPID");
      await action();
      expect(await member.property("MainPID"), what).not.toBe(process);
      await alive(session, serving);
      await pulse.beats(50);
      const millis = longestGap(await pulse.report(), start);
      const taken = await tookOver(member);
      expect(taken, what).toMatchObject({ by: "carrier" });
      gaps.push({ what, millis, flood: flood.longestGap(start), before, ...taken });
      expect([await a.associationWith(b.name), await b.associationWith(a.name)], what).toEqual(associations);
    };

    for (let i = 0; i < RESTARTS; i++) {
      const member = i % 2 === 0 ? a : b;
      await during(`restart ${i + 1} (${member.name})`, member, () =>
        member.machine.run(["systemctl", "restart", "hipd.service"]),
      );
    }
    for (const [what, version] of [
      ["upgrade", NEWER],
      ["downgrade", OLDER],
    ] as const) {
      await during(`${what} (${b.name})`, b, () => b.install(version));
      expect(await b.hipctl("version")).toContain(version);
    }
    await sending.finishTcp();
    const { bytes, sentHash, receivedHash, receivedBytes, error } = await sent;
    expect({ error, receivedHash, receivedBytes }).toEqual({
      error: undefined,
      receivedHash: sentHash,
      receivedBytes: bytes,
    });
    const beats = await pulse.stop();
    const pings = await flood.stop();
    show(gaps, bytes, `${lostOf(beats)} of ${beats.highest + 1} datagrams`, beats.pause, pings);
    // Where others want the processors, there are gaps without restarts as well.
    const noise = Math.max(beats.pause, ...gaps.map(({ before }) => before));
    const allowed = TARGET + MARGIN + (noise > CALM_GAP ? 3 * noise : 0);
    expect(Math.max(...gaps.map(({ millis }) => millis))).toBeLessThan(allowed);
    expect(Math.max(...gaps.map(({ hipd }) => hipd))).toBeLessThan(TARGET + MARGIN);
  });
});

/** The session answers and the transfer goes on. */
async function alive(session: Session, serving: { arrived(bytes: number): Promise<number> }): Promise<void> {
  await session.say();
  await serving.arrived((await serving.arrived(0)) + 1_000_000);
}

function show(
  gaps: readonly Gap[],
  bytes: number,
  lost: string,
  pause: number,
  pings: { readonly sent: number; readonly received: number },
): void {
  for (const { what, millis, flood, hipd, carried, before } of gaps) {
    console.log(
      `${what.padEnd(24)} gap ${millis.toFixed(0).padStart(5)} ms   ping ${flood.toFixed(0).padStart(5)} ms   ` +
        `hipd says ${hipd} ms, and that a carrier served for ${carried} ms; before it ${before.toFixed(0)} ms`,
    );
  }
  const sorted = gaps.map(({ millis }) => millis).sort((one, other) => one - other);
  const [median = 0, longest = 0] = [sorted[sorted.length >> 1], sorted.at(-1)];
  console.log(
    `note: gaps of ${gaps.length} restarts: median ${median.toFixed(0)} ms, longest ${longest.toFixed(0)} ms (target ${TARGET} ms; ` +
      `the machine's own longest pause ${pause.toFixed(0)} ms); ${(bytes / 1e6).toFixed(0)} MB of TCP with the same hash; ` +
      `lost ${lost}, ${pings.sent - pings.received} of ${pings.sent} pings`,
  );
}
