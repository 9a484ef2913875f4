/** The loop between the overlay and its edges. */
import { describe, expect, it } from "vitest";
import { type Instant, ok, type Path, type Spi } from "../../src/core/types.ts";
import { Driver, MAX_EVENTS_PER_TURN, MAX_REQUESTS } from "../../src/driver/driver.ts";
import { MAX_SUBSCRIBERS, REMEMBERED_EVENTS } from "../../src/driver/event-ring.ts";
import type { DataPlaneEvent } from "../../src/driver/ports.ts";
import type { HostOutput, JobId } from "../../src/hip/io.ts";
import type { Job, JobResult } from "../../src/hip/job.ts";
import type { SaSpec } from "../../src/hip/sa.ts";
import type { ControlReply } from "../../src/overlay/control.ts";
import { build, checksumValid, withChecksum } from "../../src/wire/packet.ts";
import { association, Bench, BOB, PATH, SELF } from "../support/overlay.ts";
import { PaperPlane } from "../support/paper-plane.ts";

const I1 = build({ name: "I1", sender: SELF, receiver: BOB, parameters: [] });
const JOB = { kind: "verify", packet: I1, peer: { algorithm: 7, hostIdentity: new Uint8Array(0) } } as Job;

/** A driver whose world stands still until the test moves it. */
function setUp() {
  const bench = new Bench();
  const plane = new PaperPlane();
  const jobs: { job: Job; done: (result: JobResult) => void }[] = [];
  const deferred: (() => void)[] = [];
  const alarms: (Instant | undefined)[] = [];
  const shell: string[] = [];
  const clock = { at: 1000 };
  const driver = new Driver({
    overlay: bench.overlay,
    plane,
    jobs: { run: (job, done) => jobs.push({ job, done }) },
    clock: { now: () => clock.at as Instant, wall: () => 1_900_000_000_000 + clock.at },
    alarm: { set: (at) => alarms.push(at) },
    shell: {
      saveState: (state) => shell.push(`save ${state.lsis.length}`),
      persistPeer: (peer, done) => {
        shell.push(`persist ${peer.name}`);
        done(ok("peers.d/x.toml"));
      },
      unpersistPeer: (peer, done) => {
        shell.push(`unpersist ${peer.name}`);
        done(ok(""));
      },
      event: (event) => shell.push(`event ${event.name}`),
      identities: (_all, preferred) => shell.push(`identities ${preferred}`),
      defer: (task) => deferred.push(task),
    },
  });
  /** Lets the protocol say something at the next alarm. */
  const says = (...outputs: readonly HostOutput[]): void => {
    bench.fake.answers.set("timeout", () => outputs);
    driver.alarmFired();
    bench.fake.answers.delete("timeout");
  };
  driver.start();
  plane.calls.length = 0;
  return { bench, fake: bench.fake, plane, jobs, deferred, alarms, shell, clock, driver, says };
}

const over = (carrier: "udp" | "none", local = ""): Path => ({
  carrier,
  local: { address: local, port: 0 },
  remote: { address: "192.0.2.10", port: carrier === "udp" ? 10500 : 0 },
});

describe("what comes out", () => {
  it("is carried out in order", () => {
    const { plane, says } = setUp();
    const sa = { spi: 5 as Spi, direction: "out", path: PATH } as SaSpec;
    says(
      { type: "sa-add", sa },
      { type: "route", peer: BOB, via: 5 as Spi },
      { type: "send", path: PATH, bytes: I1 },
      { type: "sa-path", peer: BOB, spi: 5 as Spi, path: PATH, verified: true },
      { type: "sa-drop", spi: 4 as Spi, direction: "in", peer: BOB },
      { type: "shun", address: "192.0.2.66", millis: 1_000 },
    );
    expect(plane.calls).toEqual([
      "addSa",
      "route 5",
      "send",
      "setPath 5 192.0.2.1",
      "dropSa 4 in",
      "shun 192.0.2.66 1000",
    ]);
  });

  it("goes to the network first, then to jobs, then to operators and files", () => {
    const { plane, says, jobs, shell, driver } = setUp();
    const order: string[] = [];
    driver.request({ type: "events", since: undefined }, () => order.push("event"));
    const send = plane.send.bind(plane);
    plane.send = (path, bytes) => {
      order.push("send");
      send(path, bytes);
    };
    jobs.push = (...more) => order.push(...more.map(({ job }) => job.kind));
    const detail = { reason: "asked" };
    const closed = { type: "event", local: SELF, peer: BOB, name: "association-closed", detail } as const;
    shell.length = 0;
    says(closed, { type: "job", id: 1 as JobId, job: JOB }, { type: "send", path: PATH, bytes: I1 });
    expect(order).toEqual(["send", "verify", "event"]);
    expect(shell[0]).toBe("event association-closed");
  });

  it("brings the answer of a job that is done at once before the next input", () => {
    const { fake, plane, jobs, driver } = setUp();
    jobs.push = (...more) => {
      for (const { done } of more) done({ kind: "verify", inside: [], insideUnknown: [] });
      return 0;
    };
    const taken: string[] = [];
    fake.answers.set("datagram", () => {
      taken.push("datagram");
      return [1, 2].map((id) => ({ type: "job", id: id as JobId, job: JOB }));
    });
    fake.answers.set("job-done", (input) => {
      taken.push(`job ${input.type === "job-done" ? input.id : "?"}`);
      return [];
    });
    const heard: DataPlaneEvent = { type: "control", path: PATH, bytes: I1 };
    plane.waiting.push(heard, heard);
    plane.onReady();
    expect(taken).toEqual(["datagram", "job 1", "job 2", "datagram", "job 1", "job 2"]);
    expect(driver.metrics().driver["jobs_running"]).toBe(0);
  });

  it("gets our own address and port filled in, for packets and SAs", () => {
    const { plane, says } = setUp();
    says({ type: "send", path: over("udp"), bytes: I1 }, { type: "send", path: over("none"), bytes: I1 });
    says({ type: "sa-add", sa: { spi: 5 as Spi, direction: "out", path: over("udp") } as SaSpec });
    expect(plane.sent.map(({ path }) => path.local)).toEqual([
      { address: "192.0.2.1", port: 10500 },
      { address: "192.0.2.1", port: 0 },
    ]);
    expect(plane.sas[0]?.path.local).toEqual({ address: "192.0.2.1", port: 10500 });
  });

  it("keeps an address that was chosen", () => {
    const { plane, says } = setUp();
    says({ type: "send", path: over("udp", "192.0.2.77"), bytes: I1 });
    expect(plane.sent[0]?.path.local).toEqual({ address: "192.0.2.77", port: 10500 });
  });

  it("is dropped and counted where no route leads", () => {
    const { plane, says, driver } = setUp();
    plane.sourceAddress = undefined;
    says({ type: "send", path: over("udp"), bytes: I1 });
    expect(plane.sent).toEqual([]);
    expect(driver.metrics().driver["drop_no_source_total"]).toBe(1);
  });

  it("has a checksum without UDP and none with it", () => {
    const { plane, says } = setUp();
    says({ type: "send", path: over("none"), bytes: I1 }, { type: "send", path: over("udp"), bytes: I1 });
    const [plain, udp] = plane.sent;
    expect(checksumValid(plain?.bytes ?? new Uint8Array(0), "192.0.2.1", "192.0.2.10")).toBe(true);
    expect(udp?.bytes.subarray(4, 6)).toEqual(Uint8Array.of(0, 0));
  });
});

describe("what comes in", () => {
  const control = (carrier: "udp" | "none", bytes: Uint8Array): DataPlaneEvent => ({
    type: "control",
    path: over(carrier, "192.0.2.1"),
    bytes,
  });

  it("reaches the protocol when its checksum is right, or when UDP protects it", () => {
    const { plane, fake, driver } = setUp();
    const good = withChecksum(I1, "192.0.2.10", "192.0.2.1");
    const bad = good.slice();
    bad[5] = (bad[5] as number) ^ 1;
    plane.waiting = [
      control("none", good),
      control("none", bad),
      control("none", I1),
      control("udp", I1),
      control("udp", bad),
    ];
    plane.onReady();
    expect(fake.asked("datagram")).toHaveLength(3);
    expect(driver.metrics().driver["drop_checksum_total"]).toBe(2);
  });

  it("is taken in bounded turns, between which others have theirs", () => {
    const { plane, fake, deferred } = setUp();
    plane.waiting = Array.from({ length: 2 * MAX_EVENTS_PER_TURN + 3 }, () => control("udp", I1));
    plane.onReady();
    expect(fake.asked("datagram")).toHaveLength(MAX_EVENTS_PER_TURN);
    expect(deferred).toHaveLength(1);
    // More news while a turn is due makes no second one.
    plane.onReady();
    expect(fake.asked("datagram")).toHaveLength(MAX_EVENTS_PER_TURN);
    deferred.shift()?.();
    deferred.shift()?.();
    expect(fake.asked("datagram")).toHaveLength(2 * MAX_EVENTS_PER_TURN + 3);
    expect(deferred).toEqual([]);
  });

  it("waits while outputs are carried out, so that these stay in order", () => {
    const { plane, jobs, fake, says } = setUp();
    const job: HostOutput = { type: "job", id: 1 as JobId, job: JOB };
    fake.answers.set("job-done", () => [{ type: "sa-drop", spi: 9 as Spi, direction: "in", peer: BOB }]);
    // This job runner is done before `run` returns.
    jobs.push = (...items) => {
      for (const { done } of items) done({ kind: "verify", inside: [], insideUnknown: [] });
      return 0;
    };
    says(job, { type: "send", path: PATH, bytes: I1 });
    expect(plane.calls).toEqual(["send", "dropSa 9 in"]);
  });

  it("includes the results of jobs", () => {
    const { jobs, fake, says, driver } = setUp();
    says({ type: "job", id: 7 as JobId, job: JOB });
    expect(driver.metrics().driver["jobs_running"]).toBe(1);
    jobs[0]?.done({ kind: "verify", inside: [], insideUnknown: [] });
    expect(fake.asked("job-done")).toEqual([
      { type: "job-done", id: 7, result: { kind: "verify", inside: [], insideUnknown: [] } },
    ]);
    expect(driver.metrics().driver["jobs_running"]).toBe(0);
  });
});

describe("the alarm", () => {
  it("is set to the next deadline after every input", () => {
    const { alarms, fake, driver } = setUp();
    fake.due = 5000 as Instant;
    driver.alarmFired();
    expect(alarms.at(-1)).toBe(5000);
    fake.due = undefined;
    driver.alarmFired();
    expect(alarms.at(-1)).toBeUndefined();
  });
});

describe("requests", () => {
  it("are answered through their callback, with what the data plane counts", () => {
    const { driver } = setUp();
    const replies: [ControlReply, boolean][] = [];
    driver.request({ type: "counters" }, (reply, last) => replies.push([reply, last]));
    expect(replies).toMatchObject([
      [{ type: "counters", counters: { udp_packets_total: 7, turns_total: 1 } }, true],
    ]);
    driver.request({ type: "peer-show", peer: "bob" }, (reply, last) => replies.push([reply, last]));
    expect(replies[1]).toMatchObject([{ peer: { txBytes: 100, rxPackets: 2 } }, true]);
    expect(driver.metrics().driver["requests_waiting"]).toBe(0);
  });

  it("can be cancelled, also twice and after their end", () => {
    const { driver, fake } = setUp();
    const replies: ControlReply[] = [];
    const cancel = driver.request({ type: "connect", peer: "bob", timeoutMillis: 1000 }, (reply) =>
      replies.push(reply),
    );
    expect(driver.metrics().driver["requests_waiting"]).toBe(1);
    cancel();
    cancel();
    expect(driver.metrics().driver["requests_waiting"]).toBe(0);
    expect(driver.metrics().overlay.requestsWaiting).toBe(0);
    expect(replies).toEqual([]);
    expect(fake.asked("connect")).toHaveLength(1);
  });

  it("may come from inside of an answer", () => {
    const { driver } = setUp();
    const types: string[] = [];
    driver.request({ type: "version" }, (first) => {
      types.push(first.type);
      driver.request({ type: "status" }, (second) => types.push(second.type));
    });
    expect(types).toEqual(["version", "status"]);
  });

  it("are bounded", () => {
    const { driver } = setUp();
    const codes: string[] = [];
    const ask = (): void => {
      driver.request({ type: "connect", peer: "bob", timeoutMillis: 1000 }, (reply) => {
        if (reply.type === "error") codes.push(reply.message);
      });
    };
    // The overlay itself refuses all but 256 of them; those that it waits for count here.
    for (let i = 0; i < MAX_REQUESTS + 1; i++) ask();
    expect(driver.metrics().driver["requests_waiting"]).toBeLessThanOrEqual(MAX_REQUESTS);
    expect(codes).toHaveLength(MAX_REQUESTS + 1 - 256);
  });

  it("write peers to the disk, and save the LSIs", () => {
    const { driver, shell } = setUp();
    expect(shell).toEqual(["save 1"]);
    const replies: ControlReply[] = [];
    const hit = "2001:22:cccc:cccc:cccc:cccc:cccc:cccc";
    const peer = {
      name: "carol",
      hit,
      identity: undefined,
      carrier: "udp",
      locators: [],
      inboundFamily: "hit",
    } as const;
    driver.request({ type: "peer-add", peer, keep: true }, (reply) => replies.push(reply));
    expect(replies).toMatchObject([{ peer: { name: "carol", file: "peers.d/x.toml" } }]);
    driver.request({ type: "peer-remove", peer: "carol", keep: true }, (reply) => replies.push(reply));
    expect(shell).toEqual([
      "save 1",
      "persist carol",
      "event peer-added",
      "save 2",
      "unpersist carol",
      "event peer-removed",
    ]);
  });
});

describe("events", () => {
  const happen = ({ says }: ReturnType<typeof setUp>, detail: number): void =>
    says({ type: "event", name: "notify-received", local: SELF, peer: BOB, detail: { detail } });
  const numbers = (replies: readonly ControlReply[]): readonly number[] =>
    replies.flatMap((reply) => (reply.type === "event" ? [reply.event.number] : []));

  it("are heard by every subscriber, remembered ones first when asked for", () => {
    const world = setUp();
    const early: ControlReply[] = [];
    const late: ControlReply[] = [];
    const onlyNew: ControlReply[] = [];
    const cancel = world.driver.request({ type: "events", since: undefined }, (reply) => early.push(reply));
    for (let i = 0; i < 3; i++) happen(world, i);
    world.driver.request({ type: "events", since: 2 }, (reply) => late.push(reply));
    world.driver.request({ type: "events", since: undefined }, (reply) => onlyNew.push(reply));
    happen(world, 4);
    cancel();
    happen(world, 5);
    expect(numbers(early)).toEqual([1, 2, 3, 4]);
    expect(numbers(late)).toEqual([2, 3, 4, 5]);
    expect(numbers(onlyNew)).toEqual([4, 5]);
    expect(world.shell.filter((line) => line.startsWith("event"))).toHaveLength(5);
  });

  it("are remembered up to a limit", () => {
    const world = setUp();
    for (let i = 0; i < REMEMBERED_EVENTS + 10; i++) happen(world, i);
    const replies: ControlReply[] = [];
    world.driver.request({ type: "events", since: 0 }, (reply) => replies.push(reply));
    expect(numbers(replies)).toHaveLength(REMEMBERED_EVENTS);
    expect(numbers(replies)[0]).toBe(11);
  });

  it("have a bounded number of subscribers", () => {
    const { driver } = setUp();
    const refused: ControlReply[] = [];
    for (let i = 0; i < MAX_SUBSCRIBERS + 1; i++) {
      driver.request({ type: "events", since: undefined }, (reply) => refused.push(reply));
    }
    expect(refused).toMatchObject([{ type: "error", code: "failed" }]);
    expect(driver.metrics().driver["event_subscribers"]).toBe(MAX_SUBSCRIBERS);
  });
});

describe("stopping", () => {
  it("closes everybody, waits for them, then closes the data plane", () => {
    const { driver, fake, plane, alarms, clock } = setUp();
    fake.views.set(BOB, association(BOB));
    let done = 0;
    driver.stop(2000, () => done++);
    expect(fake.asked("close")).toEqual([{ type: "close", peer: BOB }]);
    expect(done).toBe(0);
    expect(alarms.at(-1)).toBe(clock.at + 20);
    fake.views.set(BOB, association(BOB, { state: "CLOSED" }));
    driver.alarmFired();
    expect(done).toBe(1);
    expect(plane.calls.at(-1)).toBe("close");
    expect(alarms.at(-1)).toBeUndefined();
  });

  it("does not wait for ever", () => {
    const { driver, fake, clock } = setUp();
    fake.views.set(BOB, association(BOB));
    let done = 0;
    driver.stop(2000, () => done++);
    clock.at += 1999;
    driver.alarmFired();
    expect(done).toBe(0);
    clock.at += 1;
    driver.alarmFired();
    expect(done).toBe(1);
  });

  it("waits for a job that may be the answer to somebody's CLOSE", () => {
    const { driver, jobs, says } = setUp();
    says({ type: "job", id: 7 as JobId, job: JOB });
    let done = 0;
    driver.stop(2000, () => done++);
    expect(done).toBe(0);
    jobs[0]?.done({ kind: "verify", inside: [], insideUnknown: [] });
    expect(done).toBe(1);
  });

  it("refuses requests, and everything afterwards does nothing", () => {
    const { driver, plane, fake } = setUp();
    let done = 0;
    driver.stop(2000, () => done++);
    driver.stop(2000, () => done++);
    const replies: ControlReply[] = [];
    driver.request({ type: "status" }, (reply) => replies.push(reply));
    expect(replies).toMatchObject([{ type: "error", code: "failed", message: "hipd is stopping" }]);
    const seen = fake.inputs.length;
    plane.waiting = [{ type: "miss", peer: BOB }];
    plane.onReady();
    driver.alarmFired();
    expect(fake.inputs).toHaveLength(seen);
    expect(done).toBe(1);
  });
});
