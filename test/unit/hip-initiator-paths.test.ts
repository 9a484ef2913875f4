/** Between which addresses an exchange goes on when an R1 names another place than was called (RFC 7401 6.8; RFC 8047 4.2.8). */
import { describe, expect, test } from "vitest";
import type { Hit, Instant, Path } from "../../src/core/types.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { Host } from "../../src/hip/host.ts";
import type { HostInput, PeerPolicy } from "../../src/hip/io.ts";
import { i1 } from "../../src/hip/messages.ts";
import { runJob } from "../../src/hip/run-job.ts";
import { Bench } from "../support/bench.ts";
import { PlainResponder } from "../support/plain-exchange.ts";
import { ours, plainSet, theirs } from "../support/plain-mobile.ts";
import { field, P, tlv } from "../support/plain-peer.ts";
import { SeededRandom } from "../support/random.ts";

const CALLED = "192.0.2.9";
const NEW = "203.0.113.77";
const PREFERRED = plainSet(0, { address: NEW, preferred: true });
const HIT = theirs.hit.toString("hex") as Hit;

function later(bench: Bench): void {
  bench.now = (bench.now + 3_000) as Instant;
  bench.input({ type: "timeout" });
}

const sent = (bench: Bench): readonly Path[] =>
  bench.outputs.flatMap((one) => (one.type === "send" ? [one.path] : []));

describe("while an I2 goes to two places in turns", () => {
  function waiting(): Bench {
    const bench = new Bench(ours, theirs.hit, {}, 7, "none");
    const peer = new PlainResponder(theirs, { extra: [PREFERRED] });
    bench.answer(peer.r1(bench.connect(theirs.hit)));
    return bench;
  }

  test("it leaves from any address when that which it left from is gone, to both", () => {
    const bench = waiting();
    const own = [
      {
        address: "198.51.100.200",
        port: 0,
        kind: "host" as const,
        local: true,
        preference: 20_000,
        lifetime: undefined,
      },
    ];
    bench.input({ type: "locators", own });
    const before = sent(bench).length;
    for (let i = 0; i < 2; i++) later(bench);
    expect(
      sent(bench)
        .slice(before)
        .map(({ local, remote }) => [local.address, remote.address]),
    ).toEqual([
      ["", CALLED],
      ["", NEW],
    ]);
  });

  test("a newer R1 from either of them is answered there", () => {
    const bench = waiting();
    const newer = new PlainResponder(theirs, {
      replace: { [P.r1Counter]: [tlv(P.r1Counter, field.u32(0), field.u32(0), field.u32(4712))] },
    });
    const r1 = newer.r1(i1(ours.hit, HIT, DEFAULT_CONFIG.dhGroups));
    bench.input({ type: "datagram", bytes: r1, path: bench.path() });
    expect(bench.drops()).toEqual([]);
    expect(sent(bench).at(-1)?.remote.address).toBe(CALLED);
    later(bench);
    expect(sent(bench).at(-1)?.remote.address).toBe(CALLED);
  });
});

test("of two families the I2 leaves from an address of that which it goes to", () => {
  const bench = new Bench(ours, theirs.hit, {}, 7, "none");
  const peer = new PlainResponder(theirs);
  const r1 = peer.r1(bench.connect(theirs.hit));
  const path = {
    carrier: "none",
    local: { address: "2001:db8::2", port: 0 },
    remote: { address: "2001:db8::9", port: 0 },
  };
  bench.input({ type: "datagram", bytes: r1, path: path as Path });
  expect(sent(bench).at(-1)).toMatchObject({ local: { address: "" }, remote: { address: CALLED } });
});

test("a peer that was called without a HIT is known by the place that was called, also when it prefers another", () => {
  let found: PeerPolicy | undefined;
  const asked: string[] = [];
  const book = {
    find: (hit: Hit) => (hit === found?.hit ? found : undefined),
    discovered: (hit: Hit, localHit: Hit, carrier: Path["carrier"], at: Path["remote"]): boolean => {
      asked.push(at.address);
      if (at.address !== CALLED) return false;
      found = { hit, localHit, carrier, locators: [at], inboundFamily: "hit" };
      return true;
    },
  };
  const config = { ...DEFAULT_CONFIG, opportunistic: true };
  const host = new Host(config, [ours], book, new SeededRandom(7));
  const now = 1_000 as Instant;
  const packets: { readonly bytes: Uint8Array; readonly path: Path }[] = [];
  const input = (one: HostInput): void => {
    for (const output of host.handle(one, now)) {
      if (output.type === "send") packets.push(output);
      if (output.type !== "job") continue;
      input({ type: "job-done", id: output.id, result: runJob(output.job, new Map([[ours.hit, ours]])) });
    }
  };
  const remote = { address: CALLED, port: 0 };
  input({ type: "timeout" });
  input({ type: "connect-opportunistic", localHit: ours.hit, carrier: "none", remote });
  const path: Path = { carrier: "none", local: { address: "198.51.100.1", port: 0 }, remote };
  const peer = new PlainResponder(theirs, { extra: [PREFERRED] });
  input({ type: "datagram", bytes: peer.r1(i1(ours.hit, HIT, config.dhGroups)), path });
  const i2 = packets.at(-1);
  expect(i2?.path.remote.address).toBe(NEW);
  input({
    type: "datagram",
    bytes: peer.r2(i2?.bytes as Uint8Array),
    path: { ...path, remote: { address: NEW, port: 0 } },
  });
  expect(asked).toEqual([NEW, CALLED]);
  expect(host.association(HIT)?.state).toBe("ESTABLISHED");
});
