/** When peers are looked up in DNS, and what becomes of an answer that has aged. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { err, ok, type Result } from "../../src/core/types.ts";
import type { DnsFacts } from "../../src/overlay/dns-peers.ts";
import type { Found } from "../../src/runtime/dns/lookup.ts";
import {
  DnsPeerPoller,
  LEAST_AGE,
  LEAST_PAUSE,
  LEAST_RECORD_AGE,
  MAX_LOOKUPS,
  MOST_AGE,
  MOST_EARLY,
  MOST_LATE,
} from "../../src/runtime/dns/peer-poller.ts";

beforeEach(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => vi.useRealTimers());

const found = (name: string, ttl: number, recordTtl?: number): Result<Found, string> =>
  ok({ facts: { name, validated: true, keys: [], addresses: ["192.0.2.1"] }, ttl, recordTtl, badRecords: 1 });

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis));

/** A poller whose lookups give what the test says. */
function bench(say: (name: string) => Result<Found, string>) {
  const asked: string[] = [];
  const told: [string, DnsFacts][] = [];
  const lookUp = async (name: string) => {
    asked.push(name);
    return say(name);
  };
  return { asked, told, poller: new DnsPeerPoller(lookUp, (peer, facts) => told.push([peer, facts])) };
}

const one = [{ peer: "vm", name: "vm.example.org" }];

describe("an answer", () => {
  it.each([
    [120, undefined, 120_000 - MOST_EARLY],
    [60, undefined, 48_000],
    [0, undefined, 0.8 * LEAST_AGE],
    [0, 300, 0.8 * LEAST_AGE],
    [300, 5, 4_000],
    [300, 2, LEAST_PAUSE],
    [300, 0, LEAST_PAUSE],
    [1_000_000, 1_000_000, MOST_AGE - MOST_EARLY],
  ])(
    "with a TTL of %d s, of records %s, is asked for again after %d ms, before it is gone",
    async (ttl, recordTtl, age) => {
      const { poller, asked, told } = bench((name) => found(name, ttl, recordTtl));
      poller.set(one);
      await vi.advanceTimersByTimeAsync(age - 1);
      expect(asked).toHaveLength(1);
      await vi.advanceTimersByTimeAsync(1);
      expect(asked).toHaveLength(2);
      expect(told.map(([peer, { addresses }]) => [peer, addresses.length])).toEqual([
        ["vm", 1],
        ["vm", 1],
      ]);
      expect(poller.counters()).toMatchObject({ lookups: 2, failures: 0, badRecords: 2 });
      expect(poller.views()).toMatchObject([{ peer: "vm", state: "known", validated: true, error: null }]);
      poller.stop();
    },
  );

  it("is believed for its time although nobody answers any more, and then taken back (RFC 8005 4.2)", async () => {
    let works = true;
    const { poller, told } = bench((name) => (works ? found(name, 60) : err("no answer")));
    poller.set(one);
    await vi.advanceTimersByTimeAsync(1_000);
    works = false;
    await vi.advanceTimersByTimeAsync(58_999);
    expect(told.at(-1)?.[1].addresses).toEqual(["192.0.2.1"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(told.at(-1)?.[1]).toEqual({ name: "vm.example.org", validated: false, keys: [], addresses: [] });
    expect(poller.counters()).toMatchObject({ failures: 2, expired: 1 });
    expect(poller.views()).toMatchObject([
      { state: "failed", error: "no answer", validated: false, hits: [], addresses: [] },
    ]);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(poller.counters()).toMatchObject({ expired: 1 });
    expect(told).toHaveLength(2);
    works = true;
    await vi.advanceTimersByTimeAsync(600_000);
    expect(told.at(-1)?.[1].addresses).toEqual(["192.0.2.1"]);
    poller.stop();
  });

  it.each([
    ["a record that came long before the last address ends with its own TTL", 30, 12_000, 18_000],
    ["one that is too old by then serves the exchange that waits for it", 10, 12_000, LEAST_RECORD_AGE],
  ])("%s (RFC 8005 4.2)", async (_name, recordTtl, millis, left) => {
    let times = 0;
    const told: DnsFacts[] = [];
    const lookUp = async (name: string) => {
      if (times++ > 0) return err("no answer");
      await sleep(millis);
      return found(name, 300, recordTtl);
    };
    const poller = new DnsPeerPoller(lookUp, (_peer, facts) => told.push(facts));
    poller.set(one);
    await vi.advanceTimersByTimeAsync(millis + left - 1);
    expect(told).toHaveLength(1);
    expect(poller.views()).toMatchObject([{ addresses: ["192.0.2.1"] }]);
    await vi.advanceTimersByTimeAsync(1);
    expect(told.at(-1)?.addresses).toEqual([]);
    expect(poller.views()).toMatchObject([{ state: "failed", addresses: [] }]);
    poller.stop();
  });

  it("that said nothing is no record that has outlived its TTL", async () => {
    const nothing = (name: string): DnsFacts => ({ name, validated: true, keys: [], addresses: [] });
    const { poller, asked } = bench((name) =>
      asked.length > 1
        ? err("no answer")
        : ok({ facts: nothing(name), ttl: 60, recordTtl: undefined, badRecords: 0 }),
    );
    poller.set(one);
    await vi.advanceTimersByTimeAsync(70_000);
    expect(poller.counters()).toMatchObject({ lookups: 4, failures: 3, expired: 0 });
    expect(poller.views()).toMatchObject([{ state: "failed", validated: false }]);
    poller.stop();
  });
});

/** A resolver that says what it knows, with the seconds that are left, and else asks the world, which takes a while. */
function cache(ttl: number, millis: number) {
  const ends = new Map<string, number>();
  return async (name: string) => {
    let end = ends.get(name) ?? 0;
    if (end <= performance.now()) {
      await sleep(millis);
      end = performance.now() + ttl * 1000;
      ends.set(name, end);
    }
    return found(name, 3600, Math.floor((end - performance.now()) / 1000));
  };
}

describe("a lookup that is under way when the record ends", () => {
  it.each([300, 61, 7, 3, 2, 1, 0])(
    "decides in its place, so that no peer of a caching resolver is gone for a moment (TTL %d s)",
    async (ttl) => {
      const resolver = cache(ttl, 250);
      const asked: number[] = [];
      const told: DnsFacts[] = [];
      const lookUp = (name: string) => {
        asked.push(performance.now());
        return resolver(name);
      };
      const poller = new DnsPeerPoller(lookUp, (_peer, facts) => told.push(facts));
      poller.set(one);
      await vi.advanceTimersByTimeAsync(1_800_000);
      expect(told.length).toBeGreaterThan(10);
      expect(told.filter(({ addresses }) => addresses.length === 0)).toEqual([]);
      expect(poller.counters()).toMatchObject({ failures: 0, expired: 0 });
      expect(Math.min(...asked.slice(1).map((at, i) => at - (asked[i] as number)))).toBeGreaterThanOrEqual(
        2_000,
      );
      poller.stop();
    },
  );

  it("may wait for its turn, too", async () => {
    const told: DnsFacts[] = [];
    const poller = new DnsPeerPoller(cache(1, 250), (_peer, facts) => told.push(facts));
    poller.set(Array.from({ length: 60 }, (_, n) => ({ peer: `vm${n}`, name: `vm${n}.example.org` })));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told.length).toBeGreaterThan(600);
    expect(told.filter(({ addresses }) => addresses.length === 0)).toEqual([]);
    poller.stop();
  });

  // A TTL of 10 s: it begins after 8.
  it.each([
    ["ends it when it fails", 4_000, err("no answer"), 12_000, 1],
    ["ends it when nothing is there any more", 4_000, "nothing", 12_000, 0],
    [
      "does so within its limit: then the record ends without it",
      60_000,
      err("no answer"),
      8_000 + MOST_LATE,
      1,
    ],
    ["that fails before lets it be until its end", 1_000, err("no answer"), 10_000, 1],
  ] as const)("%s (RFC 8005 4.2)", async (_name, millis, says, ended, expired) => {
    let first = true;
    const told: [number, DnsFacts][] = [];
    const lookUp = async (name: string): Promise<Result<Found, string>> => {
      if (first) {
        first = false;
        return found(name, 10);
      }
      await sleep(millis);
      const facts = { name, validated: true, keys: [], addresses: [] };
      return says === "nothing" ? ok({ facts, ttl: 600, recordTtl: undefined, badRecords: 0 }) : says;
    };
    const poller = new DnsPeerPoller(lookUp, (_peer, facts) => told.push([performance.now(), facts]));
    const begun = performance.now();
    poller.set(one);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(told.map(([at, { addresses }]) => [Math.round(at - begun), addresses.length])).toEqual([
      [0, 1],
      [ended, 0],
    ]);
    expect(poller.counters()).toMatchObject({ expired });
    expect(MOST_LATE).toBe(5_000);
    poller.stop();
  });

  it("is told also when it comes too late for that", async () => {
    let times = 0;
    const told: number[] = [];
    const lookUp = async (name: string) => {
      if (times++ === 1) await sleep(30_000);
      return found(name, 10);
    };
    const poller = new DnsPeerPoller(lookUp, (_peer, { addresses }) => told.push(addresses.length));
    poller.set(one);
    await vi.advanceTimersByTimeAsync(40_000);
    expect(told).toEqual([1, 0, 1]);
    poller.stop();
  });

  it("tells nothing more of a peer that has gone meanwhile", async () => {
    let times = 0;
    const told: DnsFacts[] = [];
    const lookUp = async (name: string) => {
      if (times++ > 0) await sleep(4_000);
      return found(name, 10);
    };
    const poller = new DnsPeerPoller(lookUp, (_peer, facts) => told.push(facts));
    poller.set(one);
    await vi.advanceTimersByTimeAsync(11_000);
    poller.set([]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toHaveLength(1);
    expect(poller.counters()).toMatchObject({ expired: 0 });
  });
});

it("an answer ends with its TTL although the resolver does not answer at all, and many wait for it", async () => {
  const dead = new Promise<Result<Found, string>>(() => undefined);
  const asked = new Set<string>();
  const told: [string, DnsFacts][] = [];
  const lookUp = (name: string) => {
    const first = !asked.has(name);
    asked.add(name);
    return first ? Promise.resolve(found(name, 60)) : dead;
  };
  const poller = new DnsPeerPoller(lookUp, (peer, facts) => told.push([peer, facts]));
  poller.set(Array.from({ length: 50 }, (_, n) => ({ peer: `vm${n}`, name: `vm${n}.example.org` })));
  await vi.advanceTimersByTimeAsync(59_999);
  expect(told).toHaveLength(50);
  await vi.advanceTimersByTimeAsync(1);
  const ended = told.slice(50);
  expect(ended.filter(([, { addresses }]) => addresses.length === 0)).toHaveLength(50);
  expect(poller.counters()).toMatchObject({ lookups: 50 + MAX_LOOKUPS, expired: 50 });
  poller.set([]);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(told).toHaveLength(100);
});

it("a failure is tried again later and later", async () => {
  const times: number[] = [];
  const { poller } = bench(() => {
    times.push(performance.now());
    return err("no answer");
  });
  poller.set(one);
  await vi.advanceTimersByTimeAsync(60_000);
  const gaps = times.slice(1).map((time, i) => Math.round(time - (times[i] ?? 0)));
  expect(gaps).toEqual([5_000, 10_000, 20_000]);
  await vi.advanceTimersByTimeAsync(24 * 3_600_000);
  expect(Math.max(...times.slice(1).map((time, i) => time - (times[i] ?? 0)))).toBeLessThanOrEqual(600_001);
  poller.stop();
});

it("only a few lookups run at once", async () => {
  let running = 0;
  let most = 0;
  const lookUp = async (name: string) => {
    most = Math.max(most, ++running);
    await sleep(10);
    running--;
    return found(name, 3600);
  };
  const poller = new DnsPeerPoller(lookUp, () => undefined);
  poller.set(Array.from({ length: 50 }, (_, n) => ({ peer: `vm${n}`, name: `vm${n}.example.org` })));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(most).toBe(MAX_LOOKUPS);
  expect(poller.counters().lookups).toBe(50);
  poller.stop();
});

it("peers that go are asked for no more, and late answers about them are not told", async () => {
  const { poller, asked, told } = bench((name) => found(name, 60));
  poller.set(one);
  poller.set([{ peer: "vm", name: "other.example.org" }]);
  await vi.advanceTimersByTimeAsync(1);
  expect(told.map(([, { name }]) => name)).toEqual(["other.example.org"]);
  poller.set([{ peer: "vm", name: "other.example.org" }]);
  poller.set([]);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(asked).toHaveLength(2);
  expect(poller.views()).toEqual([]);
});
