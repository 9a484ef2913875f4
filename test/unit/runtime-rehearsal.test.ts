import { expect, test, vi } from "vitest";
import type { JobRunner } from "../../src/driver/ports.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import type { Job } from "../../src/hip/job.ts";
import { runJob } from "../../src/hip/run-job.ts";
import { JobPool } from "../../src/runtime/job-pool.ts";
import { Rehearsal } from "../../src/runtime/rehearsal.ts";
import { PLACES, startDaemon } from "../support/machine.ts";
import { FakeNetwork, memoryLog, temporaryFolder, write } from "../support/runtime.ts";

/** Runs jobs a little later, as threads do, and keeps a list of them. */
function runner(rehearsal: Rehearsal): { readonly jobs: JobRunner; readonly kinds: Job["kind"][] } {
  const identities = new Map(rehearsal.identities.map((identity) => [identity.hit, identity]));
  const kinds: Job["kind"][] = [];
  const run: JobRunner["run"] = (job, done) => {
    kinds.push(job.kind);
    setImmediate(() => done(runJob(job, identities)));
  };
  return { jobs: { run }, kinds };
}

test("thirty whole exchanges, from the first packet to the close, without a timer of the protocol", async () => {
  const rehearsal = new Rehearsal();
  const { jobs, kinds } = runner(rehearsal);
  const exchanges = await new Promise<number>((finished) =>
    rehearsal.start({ host: DEFAULT_CONFIG, first: jobs, jobs, idle: () => true, hurry: true, finished }),
  );
  expect(exchanges).toBe(30);
  const count = (kind: Job["kind"]) => kinds.filter((one) => one === kind).length;
  expect([count("answer-r1"), count("accept-i2"), count("accept-r2")]).toEqual([30, 30, 30]);
  // CLOSE and CLOSE_ACK.
  expect([count("seal"), count("verify")]).toEqual([60, 60]);
});

test("the first eight wait for nobody and are told of; the others wait while something more important does", async () => {
  const rehearsal = new Rehearsal();
  const { jobs, kinds } = runner(rehearsal);
  const exchanges = () => kinds.filter((kind) => kind === "accept-r2").length;
  const seen: number[] = [];
  const idle = () => seen.push(exchanges()) > 3;
  const finished = new Promise<number>((resolve) => {
    const told = rehearsal.start({
      host: DEFAULT_CONFIG,
      first: jobs,
      jobs,
      idle,
      hurry: true,
      finished: resolve,
    });
    void told.then(() => seen.push(-exchanges()));
  });
  expect(await finished).toBe(30);
  expect(seen.slice(0, 5)).toEqual([-8, 8, 8, 8, 8]);
  expect(seen).toContain(9);
});

test("where nobody waits for it, all of it waits while something more important does", async () => {
  const rehearsal = new Rehearsal();
  const { jobs, kinds } = runner(rehearsal);
  const seen: boolean[] = [];
  const idle = () => seen.push(kinds.includes("answer-r1")) > 3;
  await new Promise<unknown>((finished) => {
    void rehearsal.start({ host: DEFAULT_CONFIG, first: jobs, jobs, idle, hurry: false, finished });
  });
  expect(seen.slice(0, 4)).toEqual([false, false, false, false]);
  expect(seen).toContain(true);
});

test("nobody waits long for jobs that are never answered, nor for a rehearsal that is stopped", async () => {
  const silent = {
    host: DEFAULT_CONFIG,
    first: { run: () => undefined },
    jobs: { run: () => undefined },
    idle: () => true,
    hurry: true,
    finished: vi.fn(),
  };
  const begun = performance.now();
  const stopped = new Rehearsal();
  const told = stopped.start(silent);
  stopped.stop();
  await told;
  expect(performance.now() - begun).toBeLessThan(100);
  const rehearsal = new Rehearsal();
  await rehearsal.start(silent);
  expect(performance.now() - begun).toBeGreaterThan(200);
  rehearsal.stop();
  expect(silent.finished).not.toHaveBeenCalled();
});

test("the jobs of the first eight are done by one, those of the others by another", async () => {
  const rehearsal = new Rehearsal();
  const [one, other] = [runner(rehearsal), runner(rehearsal)];
  await new Promise<number>((finished) =>
    rehearsal.start({
      host: DEFAULT_CONFIG,
      first: one.jobs,
      jobs: other.jobs,
      idle: () => true,
      hurry: true,
      finished,
    }),
  );
  const exchanges = ({ kinds }: typeof one) => kinds.filter((kind) => kind === "accept-r2").length;
  expect([exchanges(one), exchanges(other)]).toEqual([8, 22]);
});

test("refused jobs end it with nothing done", async () => {
  const rehearsal = new Rehearsal();
  const jobs: JobRunner = {
    run: (job, done) =>
      done({ kind: "refused", of: job.kind, reason: "identity_gone", detail: "", notify: undefined }),
  };
  const exchanges = await new Promise<number>((finished) =>
    rehearsal.start({ host: DEFAULT_CONFIG, first: jobs, jobs, idle: () => true, hurry: true, finished }),
  );
  expect(exchanges).toBe(0);
});

test("stopped, it asks for nothing more and does not finish", async () => {
  const rehearsal = new Rehearsal();
  const { jobs, kinds } = runner(rehearsal);
  const finished = vi.fn();
  await new Promise<void>((resolve) => {
    const run: JobRunner["run"] = (job, done) => {
      jobs.run(job, (result) => {
        if (job.kind === "accept-i2") {
          rehearsal.stop();
          resolve();
        }
        done(result);
      });
    };
    rehearsal.start({ host: DEFAULT_CONFIG, first: { run }, jobs, idle: () => true, hurry: true, finished });
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(finished).not.toHaveBeenCalled();
  expect(kinds.filter((kind) => kind === "answer-r1").length).toBe(1);
});

test("a daemon rehearses before it is ready and after, with keys that it gives up afterwards", async () => {
  const file = write(temporaryFolder(), "hipd.toml", PLACES);
  const { log, lines } = memoryLog();
  const network = new FakeNetwork("192.0.2.1");
  const given = vi.spyOn(JobPool.prototype, "setIdentities");
  const first = vi.spyOn(Rehearsal.prototype, "start");
  const daemon = await startDaemon(file, network, { log });
  try {
    expect(first).toHaveBeenCalledOnce();
    expect(lines.some(({ event }) => event === "rehearsed")).toBe(false);
    await vi.waitFor(() => expect(lines.some(({ event }) => event === "rehearsed")).toBe(true), {
      timeout: 20_000,
    });
    expect(lines.find(({ event }) => event === "rehearsed")).toMatchObject({ level: "debug", exchanges: 30 });
    expect(given.mock.lastCall?.[0].map(({ hit }) => hit)).toEqual(network.opened?.hits);
    // Its hosts are not ours: nothing of them is seen from outside.
    expect(network.plane.sas).toEqual([]);
    expect(lines.some(({ event }) => `${event}`.startsWith("association"))).toBe(false);
  } finally {
    await daemon.stop();
  }
});
