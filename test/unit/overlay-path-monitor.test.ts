import { beforeEach, describe, expect, it } from "vitest";
import type { Hit, Instant, Path } from "../../src/core/types.ts";
import type { PathDetails } from "../../src/hip/io.ts";
import { type MonitorOutput, PathMonitor } from "../../src/overlay/path-monitor.ts";

const PEER = "20010020000000000000000000000001" as Hit;

function path(number: number, ipv6 = false): Path {
  const address = (net: string) =>
    ipv6 ? `2001:db8:${number}::${net}` : `192.0.2.${number * 10 + Number(net)}`;
  return {
    carrier: "udp",
    local: { address: address("1"), port: 10500 },
    remote: { address: address("2"), port: 10500 },
  };
}

const FIRST = path(1);
const SECOND = path(2);

function details(one: Path, current: boolean, more: Partial<PathDetails> = {}): PathDetails {
  return { path: one, current, verified: true, rttMillis: 10, heardAt: undefined, ...more };
}

/** What each path of the bench lets through, and how fast. */
interface Line {
  mtu: number;
  kernel: number;
  rtt: number;
  dead: boolean;
}

type Probe = Extract<MonitorOutput, { type: "probe" }>;

/** A monitor, time, and lines that answer probes. */
class Bench {
  now = 0;
  readonly lines = new Map<Path, Line>();
  readonly out: { readonly at: number; readonly output: MonitorOutput }[] = [];
  readonly probes: { readonly at: number; readonly probe: Probe }[] = [];
  readonly options = { deadPathAfter: 700, probeInterval: 5_000, discoverMtu: true };
  readonly monitor = new PathMonitor(() => this.options);
  #answers: { readonly at: number; readonly probe: Probe; readonly line: Line }[] = [];

  line(one: Path): Line {
    let line = this.lines.get(one);
    if (line === undefined) {
      line = { mtu: 1500, kernel: 1500, rtt: 10, dead: false };
      this.lines.set(one, line);
    }
    return line;
  }

  take(outputs: readonly MonitorOutput[]): void {
    for (const output of outputs) {
      if (output.type !== "probe") {
        this.out.push({ at: this.now, output });
        continue;
      }
      this.probes.push({ at: this.now, probe: output });
      const line = this.line(output.path);
      const bytes = output.bytes || line.kernel;
      if (line.dead || bytes > Math.min(line.mtu, line.kernel)) continue;
      this.#answers.push({ at: this.now + line.rtt, probe: output, line });
    }
  }

  use(...all: PathDetails[]): void {
    this.take(this.monitor.paths(PEER, all, this.now as Instant));
  }

  silent(millis = 500): void {
    this.take(this.monitor.silent(PEER, millis, this.now as Instant));
  }

  active(): void {
    this.take(this.monitor.active(PEER, this.now as Instant));
  }

  /** Until then: answers arrive, deadlines are met. */
  run(until: number): void {
    for (let steps = 0; ; steps++) {
      expect(steps).toBeLessThan(10_000);
      this.#answers.sort((a, b) => a.at - b.at);
      const answer = this.#answers[0];
      const due = this.monitor.deadline()?.at ?? Number.POSITIVE_INFINITY;
      const next = Math.min(answer?.at ?? Number.POSITIVE_INFINITY, due);
      if (next > until) break;
      this.now = Math.max(this.now, next);
      const { now } = this;
      if (answer !== undefined && answer.at <= now) {
        this.#answers.shift();
        const { probe, line } = answer;
        const bytes = probe.bytes || line.kernel;
        this.take(this.monitor.probeReply(PEER, probe.token, line.rtt * 1000, bytes, now as Instant));
      } else this.take(this.monitor.tick(now as Instant));
    }
    this.now = until;
  }

  of<Type extends MonitorOutput["type"]>(type: Type) {
    return this.out.filter(
      (one): one is { at: number; output: Extract<MonitorOutput, { type: Type }> } =>
        one.output.type === type,
    );
  }
}

describe("the path monitor", () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });

  /** An association along FIRST whose size is known. */
  function settled(...others: PathDetails[]): void {
    bench.use(details(FIRST, true), ...others);
    bench.run(3000);
    bench.out.length = 0;
    bench.probes.length = 0;
  }

  it("learns from late answers that a path has become slow, and does not take that for its death", () => {
    settled();
    bench.line(FIRST).rtt = 600;
    for (let i = 0; i < 4; i++) {
      bench.silent();
      bench.run(bench.now + 5_000);
    }
    const before = bench.of("path-down").length;
    for (let i = 0; i < 5; i++) {
      bench.silent();
      bench.run(bench.now + 5_000);
    }
    expect(bench.of("path-down").length).toBe(before);
    expect(bench.monitor.quality(PEER, FIRST)?.rttMillis).toBeGreaterThan(200);
  });

  it("declares a path dead that eats everything, at the time that the configuration says", () => {
    settled();
    bench.line(FIRST).dead = true;
    // The data plane noticed 500 ms after the first packet.
    bench.silent();
    bench.run(10_000);
    expect(bench.of("path-down")).toEqual([
      { at: 3200, output: { type: "path-down", peer: PEER, path: FIRST } },
    ]);
    const dead = bench.of("event").map(({ output }) => output);
    expect(dead).toMatchObject([{ name: "path-dead", detail: { millis: 700 } }]);
    expect(bench.probes.filter(({ probe }) => probe.bytes === 128)).toHaveLength(3);
  });

  it("leaves a path alone that answers, though nothing comes back by itself", () => {
    settled();
    for (let i = 0; i < 20; i++) {
      bench.silent(500 * (i + 1));
      bench.run(bench.now + 500);
    }
    expect(bench.of("path-down")).toEqual([]);
  });

  it("believes one answer of three", () => {
    settled();
    const line = bench.line(FIRST);
    line.dead = true;
    bench.silent();
    bench.run(bench.now + 60);
    line.dead = false;
    bench.run(10_000);
    expect(bench.probes.length).toBeGreaterThanOrEqual(2);
    expect(bench.of("path-down")).toEqual([]);
  });

  it("waits longer where a round trip takes longer", () => {
    bench.line(FIRST).rtt = 600;
    bench.use(details(FIRST, true, { rttMillis: 600 }));
    bench.run(20_000);
    bench.silent();
    bench.run(30_000);
    expect(bench.of("path-down")).toEqual([]);
    bench.line(FIRST).dead = true;
    bench.silent();
    bench.run(40_000);
    expect(bench.of("path-down")[0]?.at).toBeGreaterThan(30_600);
    expect(bench.of("path-down")[0]?.at).toBeLessThan(33_000);
  });

  it("says again that a path is dead while packets go there, not with each of them", () => {
    settled();
    bench.line(FIRST).dead = true;
    for (let i = 0; i < 20; i++) {
      bench.silent(500 * (i + 1));
      bench.run(bench.now + 500);
    }
    const downs = bench.of("path-down").length;
    expect(downs).toBeGreaterThan(2);
    expect(downs).toBeLessThan(6);
    bench.line(FIRST).dead = false;
    bench.silent();
    bench.run(bench.now + 3000);
    expect(bench.of("path-rtt").at(-1)?.output.path).toBe(FIRST);
    expect(bench.of("path-down")).toHaveLength(downs);
  });

  it("gives up a path that never answered a probe once a minute at most", () => {
    bench.line(FIRST).dead = true;
    bench.use(details(FIRST, true));
    for (let i = 0; i < 100; i++) {
      bench.silent();
      bench.run(bench.now + 500);
    }
    expect(bench.of("path-down")).toHaveLength(1);
  });

  it("measures other pairs while there is traffic, and only then", () => {
    bench.line(SECOND).rtt = 30;
    settled(details(SECOND, false));
    bench.run(20_000);
    const second = bench.of("path-rtt").filter(({ output }) => output.path === SECOND);
    expect(second.length).toBe(3);
    expect(second[0]?.output.millis).toBe(30);
    bench.run(200_000);
    const count = bench.probes.length;
    bench.run(1_000_000);
    expect(bench.probes.length).toBe(count);
    expect(bench.monitor.deadline()).toBeUndefined();
    bench.active();
    bench.run(1_010_000);
    expect(bench.probes.length).toBeGreaterThan(count);
    const quality = bench.monitor.quality(PEER, SECOND);
    expect(quality?.rttMillis).toBeGreaterThan(25);
    expect(quality?.loss).toBeLessThan(0.01);
  });

  it("finds that a pair in reserve does not work, before it is needed", () => {
    settled(details(SECOND, false));
    bench.run(6_000);
    bench.line(SECOND).dead = true;
    for (let i = 0; i < 6; i++) {
      bench.active();
      bench.run(bench.now + 5_000);
    }
    expect(bench.of("path-down").map(({ output }) => output.path)).toEqual([SECOND]);
    expect(bench.monitor.quality(PEER, SECOND)?.loss).toBeGreaterThan(0.1);
  });

  it("finds that nothing arrives along the pair in use, though the peer's packets come along another", () => {
    bench.use(details(FIRST, true), details(SECOND, false));
    bench.active();
    bench.run(6_000);
    bench.line(FIRST).dead = true;
    for (let at = 10_000; at <= 60_000; at += 10_000) {
      bench.active();
      bench.run(at);
    }
    expect(bench.of("path-down")[0]?.output.path).toBe(FIRST);
    expect(bench.of("path-down")[0]?.at).toBeLessThan(30_000);
  });

  it("takes over the size that packets are held to already", () => {
    bench.line(FIRST).mtu = 1400;
    bench.use(details(FIRST, true));
    bench.monitor.inherit(PEER, 1400);
    expect(bench.monitor.imposed()).toEqual([[PEER, 1400]]);
    bench.active();
    bench.run(60_000);
    expect(bench.of("path-mtu")).toEqual([]);
    expect(bench.monitor.quality(PEER, FIRST)?.mtu).toBe(1400);
  });

  it("asks nothing of a lone pair without traffic", () => {
    settled();
    bench.run(3_600_000);
    expect(bench.probes).toEqual([]);
    expect(bench.monitor.deadline()).toBeUndefined();
  });

  it("lets the kernel's belief hold when it is right", () => {
    bench.use(details(FIRST, true));
    bench.run(1000);
    expect(bench.of("path-mtu")).toEqual([]);
    expect(bench.monitor.quality(PEER, FIRST)?.mtu).toBe(1500);
  });

  it("finds the size of a path that shrank silently, within two seconds of the first loss", () => {
    bench.line(FIRST).kernel = 9000;
    bench.line(FIRST).mtu = 9000;
    settled();
    bench.line(FIRST).mtu = 1400;
    // Large packets vanish; nothing comes back.
    bench.silent();
    bench.run(bench.now + 1000);
    expect(bench.of("path-mtu")[0]?.output.mtu).toBe(1280);
    bench.run(bench.now + 10_000);
    const mtu = bench.of("path-mtu").at(-1)?.output.mtu;
    expect(mtu).toBe(1400);
    expect(bench.of("path-down")).toEqual([]);
    // And grows again, after ten minutes of traffic.
    bench.line(FIRST).mtu = 8900;
    for (let i = 0; i < 62; i++) {
      bench.active();
      bench.run(bench.now + 10_000);
    }
    expect(bench.of("path-mtu").at(-1)?.output.mtu).toBe(8900);
  });

  it("does not take a dead path for a small one", () => {
    settled();
    bench.line(FIRST).dead = true;
    bench.silent();
    for (let i = 0; i < 10; i++) {
      bench.active();
      bench.run(bench.now + 10_000);
    }
    expect(bench.of("path-mtu")).toEqual([]);
  });

  it("gives each path its own size, and forgets with the association", () => {
    bench.line(FIRST).mtu = 1400;
    settled(details(SECOND, false));
    bench.run(15_000);
    expect(bench.monitor.quality(PEER, FIRST)?.mtu).toBe(1400);
    bench.out.length = 0;
    bench.use(details(SECOND, true), details(FIRST, false));
    bench.run(16_000);
    expect(bench.of("path-mtu").map(({ output }) => output.mtu)).toEqual([undefined]);
    bench.use(details(FIRST, true), details(SECOND, false));
    expect(bench.of("path-mtu").map(({ output }) => output.mtu)).toEqual([undefined, 1400]);
    bench.use();
    expect(bench.of("path-mtu").map(({ output }) => output.mtu)).toEqual([undefined, 1400, undefined]);
    expect(bench.monitor.deadline()).toBeUndefined();
    expect(bench.monitor.quality(PEER, FIRST)).toBeUndefined();
  });

  it("sends nothing to where nobody has answered (RFC 8046 5.6)", () => {
    bench.use(details(FIRST, true, { verified: false }), details(SECOND, false, { verified: false }));
    bench.silent();
    bench.active();
    bench.run(60_000);
    expect(bench.probes).toEqual([]);
    bench.use(details(FIRST, true));
    expect(bench.probes.length).toBeGreaterThan(0);
    bench.probes.length = 0;
    bench.silent();
    bench.use(details(FIRST, true, { verified: false }));
    const before = bench.probes.length;
    bench.run(120_000);
    expect(bench.probes).toHaveLength(before);
    expect(bench.of("path-down")).toEqual([]);
  });

  it("looks for no size when it is told so", () => {
    bench.options.discoverMtu = false;
    settled();
    bench.silent();
    bench.run(10_000);
    expect(bench.probes.every(({ probe }) => probe.bytes === 128)).toBe(true);
  });

  it("forgets all but its quality of a lone path without traffic, and goes on where it was", () => {
    settled();
    const before = bench.monitor.quality(PEER, FIRST);
    expect(before).toMatchObject({ rttMillis: 10, loss: 0, mtu: 1500 });
    expect(bench.monitor.awake).toBe(1);
    bench.run(20_000);
    expect(bench.monitor).toMatchObject({ awake: 0, size: 1 });
    expect(bench.monitor.deadline()).toBeUndefined();
    expect(bench.monitor.quality(PEER, FIRST)).toEqual(before);
    expect(bench.monitor.quality(PEER, SECOND)).toBeUndefined();
    // The same paths again are no news.
    bench.use(details(FIRST, true), details(SECOND, false, { verified: false }));
    expect(bench.monitor.awake).toBe(0);
    expect(bench.probes).toEqual([]);
    bench.line(FIRST).dead = true;
    bench.silent();
    bench.run(20_700);
    expect(bench.of("path-down").map(({ at, output }) => [at, output.path])).toEqual([[20_200, FIRST]]);
    // It answered once: it is given up again as soon as any.
    bench.run(22_500);
    bench.silent();
    bench.run(24_000);
    expect(bench.of("path-down")).toHaveLength(2);
  });

  it("rests no path while there is traffic, a second pair, or a size of its own", () => {
    settled();
    for (let i = 0; i < 6; i++) {
      bench.active();
      bench.run(bench.now + 10_000);
      expect(bench.monitor.awake).toBe(1);
    }
    bench.run(100_000);
    expect(bench.monitor.awake).toBe(0);
    bench.use(details(FIRST, true), details(SECOND, false));
    bench.run(300_000);
    expect(bench.monitor.awake).toBe(1);
    bench.use();
    expect(bench.monitor.size).toBe(0);
    bench.line(FIRST).mtu = 1400;
    settled();
    bench.run(600_000);
    expect(bench.of("path-mtu").at(-1)?.output.mtu).toBe(1400);
    expect(bench.monitor.awake).toBe(1);
  });

  it("wakes a path that rests when another one is in use, and ends its rest with the association", () => {
    settled();
    bench.run(20_000);
    bench.use(details(SECOND, true));
    expect(bench.monitor.awake).toBe(1);
    expect(bench.probes.map(({ probe }) => probe.path)).toEqual([SECOND, SECOND]);
    bench.run(50_000);
    expect(bench.monitor.awake).toBe(0);
    bench.use();
    expect(bench.monitor.size).toBe(0);
  });

  it("takes no answer that it did not ask for, and none twice", () => {
    settled();
    bench.silent();
    const token = bench.probes[0]?.probe.token as number;
    for (const one of [token + 1000, token, token]) {
      bench.take(bench.monitor.probeReply(PEER, one, 1, 1500, bench.now as Instant));
    }
    bench.take(bench.monitor.probeReply("0".repeat(32) as Hit, token, 1, 1500, bench.now as Instant));
    expect(bench.of("path-rtt").length).toBeLessThanOrEqual(1);
  });
});
