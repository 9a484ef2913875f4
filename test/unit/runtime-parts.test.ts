/** Small parts of the runtime: log, clock, state files, job pool, service manager, names that are nearly right. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Instant } from "../../src/core/types.ts";
import { Identity } from "../../src/crypto/identity.ts";
import type { Job, JobResult } from "../../src/hip/job.ts";
import type { SavedState } from "../../src/overlay/state.ts";
import { type RawClocks, SystemAlarm, SystemClock } from "../../src/runtime/clock.ts";
import { EventLog } from "../../src/runtime/event-log.ts";
import { JobPool, nextOf } from "../../src/runtime/job-pool.ts";
import { cleanText, readableLine } from "../../src/runtime/log.ts";
import { nearest } from "../../src/runtime/nearest.ts";
import { StateStore } from "../../src/runtime/state-store.ts";
import { TomlPositions } from "../../src/runtime/toml-positions.ts";
import { memoryLog, temporaryFolder, write } from "../support/runtime.ts";

describe("log", () => {
  test("keys cannot get in, whatever their field or form", () => {
    const { log, lines } = memoryLog();
    // AES-GCM key and salt.
    const key = "00112233445566778899aabbccddeeff00112233";
    const pem = Identity.generate("ed25519").toPkcs8Pem();
    log.info("ready", `message with ${key} and ${pem}`, {
      macKey: "short",
      kij: "short",
      text: `base64 ${Buffer.alloc(32, 7).toString("base64")}`,
      list: [key],
      bytes: new Uint8Array([1, 2, 3]) as never,
      nested: { a: 1 } as never,
      hit: "2001:22:aabb:ccdd:eeff:1122:3344:5566",
      file: "/var/lib/hipd/identities/of-a-quite-long-name/of/a/quite/long/path/second.pem",
    });
    expect(lines[0]).toMatchObject({
      level: "info",
      event: "ready",
      msg: "message with [redacted] and [redacted]",
      macKey: "[redacted]",
      kij: "[redacted]",
      text: "base64 [redacted]",
      list: ["[redacted]"],
      bytes: "[omitted]",
      nested: "[omitted]",
      hit: "2001:22:aabb:ccdd:eeff:1122:3344:5566",
      file: "/var/lib/hipd/identities/of-a-quite-long-name/of/a/quite/long/path/second.pem",
    });
    expect(String(lines[0]?.["time"])).toMatch(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("long texts are cut", () => {
    expect(cleanText("ab ".repeat(2_000)).length).toBeLessThan(2_010);
  });

  test("the readable form", () => {
    const line =
      '{"level":"warn","time":"2025-01-02T03:04:05.678Z","event":"e","peer":"db1","why":"two words","msg":"said"}';
    expect(readableLine(line, false)).toBe('03:04:05.678 WARN  said peer=db1 why="two words"\n');
    expect(readableLine(line, true)).toContain("\x1b[33mWARN \x1b[0m");
  });

  test("levels are respected and can change", () => {
    const { log, lines } = memoryLog();
    log.setLevel("warn");
    log.info("ready", "no");
    log.warn("restart-needed", "yes");
    expect(lines.map((line) => line["event"])).toEqual(["restart-needed"]);
  });

  test("a flood of events is thinned, and told", () => {
    const { log, lines } = memoryLog();
    const events = new EventLog(log);
    const event = (number: number) => ({
      number,
      time: "",
      name: "exchange-refused" as const,
      peer: null,
      hit: null,
      detail: {},
    });
    for (let i = 1; i <= 600; i++) events.add(event(i), 0);
    expect(lines).toHaveLength(500);
    events.add(event(601), 1_000);
    expect(lines[500]).toMatchObject({ event: "events-suppressed", count: 100 });
    expect(lines[501]).toMatchObject({ event: "exchange-refused", level: "warn" });
    expect(lines[501]).not.toHaveProperty("peer");
  });
});

class FakeClocks implements RawClocks {
  m = 1_000;
  b = 50_000;
  monotonic = () => this.m;
  boot = () => this.b;
  wall = () => 0;
  pass(millis: number): void {
    this.m += millis;
    this.b += millis;
  }
}

describe("clock", () => {
  test("adds the time of a suspend, once, and ignores jitter", () => {
    const raw = new FakeClocks();
    const clock = new SystemClock(raw);
    const start = clock.now();
    raw.pass(5_000);
    expect(clock.now() - start).toBe(5_000);
    raw.b += 3_600_000;
    raw.pass(1_000);
    expect(clock.now() - start).toBe(3_606_000);
    raw.pass(1_000);
    raw.b += 10;
    expect(clock.now() - start).toBe(3_607_000);
  });

  test("never goes back", () => {
    const raw = new FakeClocks();
    const clock = new SystemClock(raw);
    raw.b += 10_000;
    raw.pass(1_000);
    const before = clock.now();
    raw.b -= 20_000;
    raw.pass(1_000);
    expect(clock.now()).toBeGreaterThanOrEqual(before);
  });
});

describe("alarm", () => {
  const raw = new FakeClocks();
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const pass = (millis: number): void => {
    raw.pass(millis);
    vi.advanceTimersByTime(millis);
  };
  const make = () => {
    const clock = new SystemClock(raw);
    const alarm = new SystemAlarm(clock);
    let fired = 0;
    alarm.onFire = () => {
      fired++;
    };
    return {
      alarm,
      in: (millis: number) => alarm.set((clock.now() + millis) as Instant),
      fired: () => fired,
    };
  };

  test("fires once at its time; setting it replaces the former time", () => {
    const it = make();
    it.in(100);
    it.in(300);
    pass(200);
    expect(it.fired()).toBe(0);
    pass(100);
    expect(it.fired()).toBe(1);
    pass(1_000);
    expect(it.fired()).toBe(1);
    it.in(10);
    it.alarm.set(undefined);
    pass(100);
    expect(it.fired()).toBe(1);
  });

  test("after a suspend it is late by no more than the longest timer", () => {
    const it = make();
    it.in(3_600_000);
    pass(1_000);
    raw.b += 3_600_000;
    pass(2_000);
    expect(it.fired()).toBe(1);
  });
});

describe("state store", () => {
  const state = (lsi: string): SavedState => ({
    version: 1,
    lsiPrefix: "198.18.0.0/15",
    ownLsi: lsi,
    lsis: [],
    discovered: [],
    associations: [],
  });

  test("of several states given at once the latest is on disk", async () => {
    const folder = temporaryFolder();
    const store = new StateStore(folder);
    for (let i = 1; i <= 20; i++) store.save(state(`198.18.0.${i}`));
    await store.flush();
    expect(JSON.parse(readFileSync(join(folder, "state.json"), "utf8"))).toEqual(state("198.18.0.20"));
    expect(readdirSync(folder)).toEqual(["state.json"]);
    expect(store.load()).toEqual({ ok: true, value: { value: state("198.18.0.20"), damaged: undefined } });
  });

  test("a state that cannot be written is told and counted, and tried again at the end", async () => {
    const folder = temporaryFolder();
    const told: string[] = [];
    const store = new StateStore(join(folder, "missing"), (message) => told.push(message));
    store.save(state("198.18.0.1"));
    await store.flush();
    expect(told[0]).toMatch(/missing\/state.json: cannot be written: no such file or directory/);
    expect(store.failures).toBe(1);
    store.open();
    await store.flush();
    expect(readFileSync(join(folder, "missing/state.json"), "utf8")).toContain("198.18.0.1");
  });

  test("the R1 counter grows when the wall clock goes back, and when the file is lost", () => {
    const folder = temporaryFolder();
    const store = new StateStore(folder);
    const next = (wall: number): bigint => {
      const counter = store.nextR1Counter(wall);
      if (!counter.ok) throw new Error(counter.error);
      return counter.value;
    };
    const first = next(2_000_000_000_000);
    const second = next(1_000_000_000_000);
    expect(second).toBeGreaterThan(first);
    write(folder, "r1-counter", "rubbish");
    expect(next(2_100_000_000_000)).toBeGreaterThan(second);
  });
});

describe("job pool", () => {
  const identity = Identity.generate("ecdsa-p256");
  const seal = (kind: "seal" | "verify", localHit = identity.hit): Job =>
    (kind === "verify"
      ? { kind, packet: new Uint8Array(3), peer: { algorithm: 7, hostIdentity: new Uint8Array(0) } }
      : { kind, localHit, draft: undefined, rhash: "sha384", macKey: undefined }) as unknown as Job;
  let pool: JobPool | undefined;
  afterEach(() => pool?.close());
  const run = (job: Job): Promise<JobResult> => new Promise((resolve) => pool?.run(job, resolve));

  test("an exchange goes before R1s, but in a storm R1s go first: their puzzles end it", () => {
    const job = (kind: string): { readonly job: Job } => ({ job: { kind } as unknown as Job });
    const r1 = job("make-r1");
    const i2s = (count: number) => Array.from({ length: count }, () => job("accept-i2"));
    expect(nextOf([r1, r1, ...i2s(3)])).toBe(2);
    expect(nextOf([r1, r1])).toBe(0);
    expect(nextOf([...i2s(16), r1])).toBe(0);
    expect(nextOf([...i2s(17), r1])).toBe(17);
    expect(nextOf(i2s(40))).toBe(0);
  });

  test("runs jobs and gives each its own answer", async () => {
    pool = new JobPool([identity], () => {}, 2);
    const results = await Promise.all([1, 2, 3].map(() => run(seal("verify"))));
    expect(results.map((result) => result.kind === "refused" && result.reason)).toEqual([
      "signature",
      "signature",
      "signature",
    ]);
    expect(pool.counters()).toMatchObject({ jobs_run_total: 3, jobs_refused_total: 0 });
  });

  test("starts a thread before there is work for it, and gives it the keys that come later", async () => {
    pool = new JobPool([], () => {}, 2);
    pool.warm();
    pool.warm();
    expect(pool.counters()).toMatchObject({ job_threads: 1, jobs_run_total: 0 });
    pool.setIdentities([identity]);
    expect(await run(seal("verify"))).toMatchObject({ reason: "signature" });
    expect(pool.counters()).toMatchObject({ job_threads: 1 });
  });

  test("tells when so many jobs have run, or that it took too long", async () => {
    pool = new JobPool([identity], () => {}, 1);
    let told = false;
    const two = pool.ran(2, 20_000).then(() => {
      told = true;
    });
    await run(seal("verify"));
    await pool.ran(1, 20_000);
    expect(told).toBe(false);
    await run(seal("verify"));
    await two;
    expect(told).toBe(true);
    await pool.ran(3, 1);
    expect(pool.counters().jobs_run_total).toBe(2);
  });

  test("asks idle threads to tidy up, which is no job", async () => {
    pool = new JobPool([identity], () => {}, 1);
    pool.tidy();
    await run(seal("verify"));
    pool.tidy();
    expect(await run(seal("verify"))).toMatchObject({ reason: "signature" });
    expect(pool.counters()).toMatchObject({ jobs_run_total: 2, job_threads_crashed_total: 0 });
  });

  test("a job that kills its thread is refused, the thread replaced, and the next job runs", async () => {
    const crashes: string[] = [];
    pool = new JobPool([identity], (reason) => crashes.push(reason), 1);
    const [killed, next] = await Promise.all([run(seal("seal")), run(seal("verify"))]);
    expect(killed).toMatchObject({ kind: "refused", of: "seal", reason: "job_thread_crashed" });
    expect(next).toMatchObject({ reason: "signature" });
    expect(crashes).toHaveLength(1);
    expect(pool.counters()).toMatchObject({ job_threads_crashed_total: 1, jobs_refused_total: 1 });
  });

  test("an identity that is gone is refused by threads that knew it", async () => {
    pool = new JobPool([identity], () => {}, 1);
    await run(seal("verify"));
    pool.setIdentities([]);
    expect(await run(seal("seal"))).toMatchObject({ kind: "refused", reason: "identity_gone" });
  });

  test("after closing, jobs are refused", async () => {
    pool = new JobPool([identity], () => {}, 1);
    await pool.close();
    expect(await run(seal("verify"))).toMatchObject({ reason: "jobs_stopped" });
  });
});

test("nearly right words", () => {
  const known = ["locators", "hit", "name", "encapsulation"];
  expect(nearest("locater", known)).toBe("locators");
  expect(nearest("hti", known)).toBe("hit");
  expect(nearest("LOCATORS", known)).toBe("locators");
  expect(nearest("port", known)).toBeUndefined();
});

test("places of keys and values in every form that TOML has", () => {
  const text = [
    "top = 1 # [not] = a.table",
    '"quoted key" = """',
    "[not a table]",
    '"""',
    "[a.b]",
    "c.d = [ 1,",
    "  'x]', # ] comment",
    "  { e = 2 } ]",
    "[[list]]",
    "f = 1979-05-27T07:32:00Z",
    "[[list]]",
    "f = '''a",
    "'b'''",
    "[list.sub]",
    "g = -1.5e3",
    "[[list.deep]]",
    "h = true",
  ].join("\n");
  const positions = new TomlPositions(text);
  const at = ({ line, column }: { line: number; column: number }) => `${line}:${column}`;
  expect(at(positions.value(["top"]))).toBe("1:7");
  expect(at(positions.key(["quoted key"]))).toBe("2:1");
  expect(at(positions.key(["a", "b", "c", "d"]))).toBe("6:3");
  expect(at(positions.value(["a", "b", "c", "d", 1]))).toBe("7:3");
  expect(at(positions.value(["a", "b", "c", "d", 2, "e"]))).toBe("8:9");
  expect(at(positions.value(["list", 0, "f"]))).toBe("10:5");
  expect(at(positions.key(["list", 1]))).toBe("11:3");
  expect(at(positions.value(["list", 1, "sub", "g"]))).toBe("15:5");
  expect(at(positions.value(["list", 1, "deep", 0, "h"]))).toBe("17:5");
  expect(at(positions.value(["list", 1, "missing"]))).toBe("11:3");
  expect(at(positions.value(["nowhere"]))).toBe("1:1");
});
