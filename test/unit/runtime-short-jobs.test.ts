import { describe, expect, test, vi } from "vitest";
import type { Hit, Instant } from "../../src/core/types.ts";
import { agree, generateDh } from "../../src/crypto/dh.ts";
import { Identity, type KeyKind } from "../../src/crypto/identity.ts";
import * as keyobject from "../../src/crypto/keyobject.ts";
import { DH_GROUP } from "../../src/crypto/suites.ts";
import type { HostConfig } from "../../src/hip/config.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import type { Job, JobResult } from "../../src/hip/job.ts";
import { isShort } from "../../src/hip/job-length.ts";
import { runJob } from "../../src/hip/run-job.ts";
import { MAX_SHARE, MAX_STRETCH_MILLIS, ShortJobs } from "../../src/runtime/short-jobs.ts";
import { jobsOfExchange } from "../support/jobs.ts";

vi.mock(import("../../src/crypto/keyobject.ts"), { spy: true });

/** The jobs of an exchange in which only the first things of `config` are new. */
const short = (kind: KeyKind, config: Partial<HostConfig> = {}): Readonly<Record<string, boolean>> => {
  const { jobs, identities } = jobsOfExchange(kind, config);
  return Object.fromEntries(jobs.map((job) => [job.kind, isShort(job, identities)]));
};

describe("short jobs", () => {
  const ALL = { "answer-r1": true, "accept-i2": true, "accept-r2": true, seal: true, verify: true };

  test.each(["ecdsa-p256", "ed25519"] as const)(
    "are all those that a peer waits for, with a key of %s",
    (kind) => {
      expect(short(kind)).toEqual({ "make-r1": false, ...ALL });
    },
  );

  test.each(["ecdsa-p384", "rsa-2048"] as const)(
    "are only those without a signature of ours, with a key of %s",
    (kind) => {
      expect(short(kind)).toMatchObject({ "answer-r1": false, "accept-i2": false, seal: false });
      expect(short(kind)).toMatchObject({ "accept-r2": true, verify: true });
    },
  );

  test("are none that agree in a slow group, or search for long", () => {
    const slow = { "answer-r1": false, "accept-i2": false, "accept-r2": true };
    expect(short("ecdsa-p256", { dhGroups: [DH_GROUP.P384] })).toMatchObject(slow);
    const puzzle = (idleK: number) => ({ puzzle: { ...DEFAULT_CONFIG.puzzle, idleK } });
    expect(short("ecdsa-p256", puzzle(6))).toMatchObject(ALL);
    expect(short("ecdsa-p256", puzzle(7))).toMatchObject({ "answer-r1": false, "accept-i2": true });
  });

  test("are none of an identity that is not there, nor those of a rekeying", () => {
    const job = { kind: "seal", localHit: "0".repeat(32) as Hit } as Job;
    expect(isShort(job, new Map())).toBe(false);
    for (const kind of ["make-dh", "rekey"]) expect(isShort({ kind } as Job, new Map())).toBe(false);
  });

  test("an R1 that cannot be read is over at once", () => {
    const identity = Identity.generate("ed25519");
    const job = { kind: "answer-r1", localHit: identity.hit, r1: new Uint8Array(3) } as Job;
    expect(isShort(job, new Map([[identity.hit, identity]]))).toBe(true);
  });
});

describe("who does a job", () => {
  const identity = Identity.generate("ecdsa-p256");
  const { jobs: exchange } = jobsOfExchange("ecdsa-p256");
  const check = exchange.find(({ kind }) => kind === "verify") as Job;
  const long = exchange.find(({ kind }) => kind === "make-r1") as Job;

  function setUp(work?: typeof runJob) {
    const given: Job["kind"][] = [];
    const setIdentities = vi.fn();
    const threads = {
      run: (job: Job) => void given.push(job.kind),
      setIdentities,
      counters: () => ({
        jobs_run_total: given.length,
        jobs_refused_total: 0,
        job_threads_crashed_total: 0,
        job_queue_depth: 0,
        job_threads: 1,
      }),
    };
    const clock = { at: 1000 };
    const takes =
      (millis: number): typeof runJob =>
      (job, identities) => {
        clock.at += millis;
        return runJob(job, identities);
      };
    const jobs = new ShortJobs(threads, () => clock.at as Instant, work ?? takes(1));
    return { jobs, given, clock, setIdentities };
  }
  const ask = (jobs: ShortJobs, job: Job): JobResult | undefined => {
    let answer: JobResult | undefined;
    jobs.run(job, (result) => {
      answer = result;
    });
    return answer;
  };

  test("a short one is answered at once, another one by a thread", () => {
    const { jobs, given } = setUp();
    expect(ask(jobs, check)?.kind).toBe("verify");
    expect(ask(jobs, long)).toBeUndefined();
    expect(given).toEqual(["make-r1"]);
    expect(jobs.counters()).toMatchObject({ jobs_run_total: 2, jobs_short_total: 1 });
  });

  test("keys go to both", () => {
    const { jobs, setIdentities } = setUp();
    jobs.setIdentities([identity]);
    expect(setIdentities).toHaveBeenCalledWith([identity]);
    const draft = { name: "UPDATE", sender: identity.hit, receiver: identity.hit, parameters: [] } as const;
    const seal: Job = { kind: "seal", localHit: identity.hit, draft, rhash: "sha384", macKey: undefined };
    expect(ask(jobs, seal)?.kind).toBe("seal");
    jobs.setIdentities([]);
    expect(ask(jobs, seal)).toBeUndefined();
  });

  test("a storm of short ones goes to threads, but for a share of the time", () => {
    const { jobs, given, clock } = setUp();
    for (let count = 0; count < 100; count++) ask(jobs, check);
    const here = 100 - given.length;
    expect(here).toBeGreaterThanOrEqual(MAX_STRETCH_MILLIS);
    expect(here).toBeLessThanOrEqual(MAX_STRETCH_MILLIS + 2);
    const before = given.length;
    // 10,000 a second for ten seconds: each hundredth of them takes a millisecond here.
    for (let count = 0; count < 100_000; count++) {
      clock.at += 0.1;
      ask(jobs, check);
    }
    const later = 100_000 - (given.length - before);
    expect(later / 10_000).toBeGreaterThan(0.8 * MAX_SHARE);
    expect(later / 10_000).toBeLessThan(1.2 * MAX_SHARE);
    clock.at += 10_000;
    expect(ask(jobs, check)?.kind).toBe("verify");
  });

  test("what is rehearsed costs none of the share and is not counted; what is long goes to a thread all the same", () => {
    const { jobs, given } = setUp();
    let answers = 0;
    const rehearsal = jobs.rehearsal(identity);
    for (let count = 0; count < 100; count++) rehearsal.run(check, () => answers++);
    expect(answers).toBe(100);
    expect(jobs.counters()).toMatchObject({ jobs_run_total: 0, jobs_short_total: 0 });
    ask(jobs, check);
    rehearsal.run(long, () => answers++);
    expect(given).toEqual(["make-r1"]);
    for (const slow of [Identity.generate("ecdsa-p384"), undefined])
      jobs.rehearsal(slow).run(check, () => answers++);
    expect(given).toEqual(["make-r1", "verify", "verify"]);
  });

  test("no Diffie-Hellman key stays on this thread, whether the job went well or not", () => {
    const key = generateDh(DH_GROUP.P256);
    const other = generateDh(DH_GROUP.P256);
    const reads = vi.mocked(keyobject.privateKeyOfPkcs8).mockClear();
    agree(key, other.publicValue);
    expect(reads).not.toHaveBeenCalled();
    ask(setUp().jobs, check);
    agree(key, other.publicValue);
    expect(reads).toHaveBeenCalledTimes(1);
    const throws = setUp(() => {
      throw new Error("a bug");
    });
    ask(throws.jobs, check);
    agree(key, other.publicValue);
    expect(reads).toHaveBeenCalledTimes(2);
  });

  test("one that fails beyond all reason is left to a thread, which may die of it", () => {
    const { jobs, given } = setUp(() => {
      throw new Error("a bug");
    });
    expect(ask(jobs, check)).toBeUndefined();
    expect(given).toEqual(["verify"]);
    expect(jobs.counters()).toMatchObject({ jobs_short_total: 0 });
    jobs.rehearsal(identity).run(check, () => undefined);
    expect(given).toEqual(["verify", "verify"]);
  });
});
