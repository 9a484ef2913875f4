/** What operators see of locators and paths, and what they order about them. */
import { describe, expect, it } from "vitest";
import type { Path } from "../../src/core/types.ts";
import type { HostEvent, PathDetails, PeerLocatorDetails } from "../../src/hip/io.ts";
import type { ControlReply } from "../../src/overlay/control.ts";
import { MAX_HANDOVERS_WAITING } from "../../src/overlay/locator-requests.ts";
import type { QualityOf } from "../../src/overlay/locator-views.ts";
import { association, Bench, BOB, localAddress, only, PATH, SELF, WALL } from "../support/overlay.ts";

const SECOND: Path = {
  carrier: "udp",
  local: { address: "10.0.0.5", port: 10500 },
  remote: { address: "198.51.100.7", port: 10500 },
};

function locator(address: string, changes: Partial<PeerLocatorDetails> = {}): PeerLocatorDetails {
  return {
    endpoint: { address, port: 10500 },
    status: "ACTIVE",
    preferred: false,
    source: "announced",
    since: 1000 as never,
    until: undefined,
    ...changes,
  };
}

function pair(path: Path, changes: Partial<PathDetails> = {}): PathDetails {
  return { path, current: false, verified: true, rttMillis: 7, heardAt: 1500 as never, ...changes };
}

/** Bob, established, at two addresses; we have two as well. */
function bench(): Bench {
  const made = new Bench().start();
  made.give({ type: "addresses", local: [localAddress("192.0.2.1"), localAddress("10.0.0.5")] });
  made.establish(BOB);
  made.fake.locatorsOf.set(BOB, [
    locator("192.0.2.10", { preferred: true, source: "exchange" }),
    locator("198.51.100.7", { status: "UNVERIFIED", until: 61_000 as never }),
  ]);
  made.fake.pathsOf.set(BOB, [
    pair(PATH, { current: true }),
    pair(SECOND, { verified: false, heardAt: undefined }),
  ]);
  made.now = 2000;
  return made;
}

/** The protocol moves Bob to another path, and says so. */
function moved(made: Bench, path: Path): void {
  made.fake.views.set(BOB, association(BOB, { path }));
  made.says({
    type: "event",
    name: "handover",
    local: SELF,
    peer: BOB,
    detail: { reason: "asked", millis: 3 },
  });
}

function handover(made: Bench, to?: string, from?: string, timeoutMillis = 5000) {
  return made.ask({ type: "handover", peer: "bob", to, from, timeoutMillis });
}

function error(made: Bench, request: Parameters<Bench["answer"]>[0]): string {
  const reply = made.answer(request);
  return reply.type === "error" ? `${reply.code}: ${reply.message}` : reply.type;
}

describe("the list", () => {
  it("shows both sides and the pairs between them, with the best that is known of each", () => {
    const made = bench();
    const quality: QualityOf = (peer, path) =>
      peer === BOB && path === PATH ? { rttMillis: 1.5, loss: 0.25, mtu: 1480 } : undefined;
    Object.assign(made.overlay, { quality });
    const traffic = [{ peer: BOB, txPackets: 3, txBytes: 300, rxPackets: 4, rxBytes: 400, pathMtu: 1400 }];
    const reply = made.answer({ type: "locator-list", peer: "bob" }, traffic);
    expect(reply).toMatchObject({
      type: "locators",
      own: [
        {
          address: "192.0.2.1:10500",
          source: "host",
          interface: "eth0",
          state: "offered",
          preferred: true,
          since: new Date(WALL + 1000).toISOString(),
          rttMillis: 1.5,
          loss: 0.25,
          mtu: 1480,
        },
        { address: "10.0.0.5:10500", preferred: false, rttMillis: 7, loss: null, mtu: null },
      ],
      peers: [
        {
          name: "bob",
          locators: [
            {
              address: "192.0.2.10:10500",
              source: "exchange",
              state: "ACTIVE",
              preferred: true,
              inUse: true,
              until: null,
              mtu: 1480,
            },
            {
              address: "198.51.100.7:10500",
              state: "UNVERIFIED",
              inUse: false,
              until: new Date(WALL + 61_000).toISOString(),
              rttMillis: 7,
            },
          ],
          paths: [
            { inUse: true, state: "verified", heardAt: new Date(WALL + 1500).toISOString(), loss: 0.25 },
            { inUse: false, state: "unverified", heardAt: null, path: { remote: "198.51.100.7:10500" } },
          ],
        },
      ],
    });
    expect(JSON.parse(JSON.stringify(reply))).toEqual(reply);
  });

  it("shows where a peer without an association would be looked for", () => {
    const made = new Bench().start();
    made.fake.last.set(BOB, [{ address: "198.51.100.9", port: 10500 }]);
    made.says({ type: "paths", peer: BOB });
    expect(made.answer({ type: "locator-list", peer: undefined })).toMatchObject({
      own: [],
      peers: [
        {
          locators: [
            { address: "192.0.2.10:10500", source: "configured", state: "UNUSED" },
            { address: "198.51.100.9:10500", source: "remembered", state: "UNUSED" },
          ],
          paths: [],
        },
      ],
    });
  });

  it("lists of peers and associations tell the state of the path", () => {
    const made = bench();
    const summary = { pathState: "verified", rttMillis: 7, otherPaths: 0 };
    expect(made.answer({ type: "peer-show", peer: "bob" })).toMatchObject({ peer: summary });
    made.fake.pathsOf.set(BOB, [pair(PATH, { current: true, verified: false }), pair(SECOND)]);
    expect(made.answer({ type: "association-show", peer: "bob" })).toMatchObject({
      association: { pathState: "unverified", otherPaths: 1, loss: null },
    });
  });
});

describe("our own locators", () => {
  it("are added, preferred and removed, and peers are told each time", () => {
    const made = bench();
    const told = () =>
      (made.fake.asked("locators").at(-1) as unknown as { own: { address: string }[] }).own.map(
        ({ address }) => address,
      );
    made.answer({ type: "locator-add", locator: { address: "203.0.113.5", port: 0 } });
    expect(told()).toEqual(["203.0.113.5", "192.0.2.1", "10.0.0.5"]);
    const preferred = made.answer({ type: "locator-prefer", address: "10.0.0.5" });
    expect(preferred).toMatchObject({
      type: "locators",
      own: [{ address: "10.0.0.5:10500", preferred: true }, {}, {}],
    });
    expect(told()[0]).toBe("10.0.0.5");
    made.answer({ type: "locator-remove", address: "203.0.113.5" });
    made.answer({ type: "locator-prefer", address: undefined });
    expect(told()).toEqual(["192.0.2.1", "10.0.0.5"]);
    expect(only(made.outputs, "event").at(-1)?.event).toMatchObject({
      name: "own-locators",
      detail: { locators: "192.0.2.1:10500 10.0.0.5:10500" },
    });
  });

  it("cannot be what nobody could reach", () => {
    const made = bench();
    const add = (address: string) => error(made, { type: "locator-add", locator: { address, port: 0 } });
    expect(add("198.18.0.7")).toMatch(/^invalid: 198\.18\.0\.7 lies in the overlay itself/);
    expect(add("2001:22::7")).toMatch(/^invalid: .* lies in the overlay itself/);
    expect(add("224.0.0.1")).toBe("invalid: 224.0.0.1 is not a unicast address");
    expect(error(made, { type: "locator-remove", address: "192.0.2.77" })).toMatch(
      /^not_found: 192\.0\.2\.77 is not/,
    );
    expect(error(made, { type: "locator-prefer", address: "192.0.2.77" })).toMatch(
      /^not_found: 192\.0\.2\.77 is no/,
    );
  });

  it("take in what the cloud says, and tell of it once", () => {
    const made = bench();
    const facts = {
      provider: "aws",
      instance: "i-1",
      addresses: ["203.0.113.6", "not an address", "127.0.0.1"],
    };
    for (const _ of [1, 2]) expect(made.answer({ type: "cloud", facts })).toEqual({ type: "noted" });
    expect(made.fake.asked("locators").at(-1)).toMatchObject({
      own: [{}, {}, { address: "203.0.113.6", kind: "cloud" }],
    });
    const events = only(made.outputs, "event").filter(({ event }) => event.name === "cloud-metadata");
    expect(events.map(({ event }) => event.detail)).toMatchObject([{ cloud: "aws", instance: "i-1" }]);
    expect(made.overlay.whereabouts.cloudFacts).toBe(facts);
  });
});

describe("a handover by hand", () => {
  it("is answered when traffic goes there", () => {
    const made = bench();
    const id = handover(made, "198.51.100.7");
    expect(made.fake.asked("handover")).toEqual([
      { type: "handover", peer: BOB, local: undefined, remote: "198.51.100.7" },
    ]);
    expect(made.finished(id)).toBe(false);
    moved(made, PATH);
    expect(made.finished(id)).toBe(false);
    made.now += 12;
    moved(made, SECOND);
    expect(made.replies(id)).toEqual([
      {
        type: "handed-over",
        name: "bob",
        moved: true,
        path: { carrier: "udp", local: "10.0.0.5:10500", remote: "198.51.100.7:10500" },
        millis: 12,
      },
    ]);
    expect(made.overlay.metrics().handovers).toEqual({ "asked completed": 2 });
    expect(made.overlay.metrics().handoverSeconds).toMatchObject({ count: 2, sum: 0.006 });
  });

  it("that changes nothing is answered at once", () => {
    const made = bench();
    expect(
      made.answer({ type: "handover", peer: "bob", to: "192.0.2.10", from: undefined, timeoutMillis: 1 }),
    ).toMatchObject({ type: "handed-over", moved: false });
    expect(
      made.answer({ type: "handover", peer: "bob", to: undefined, from: undefined, timeoutMillis: 1 }),
    ).toMatchObject({ type: "handed-over", moved: false });
    expect(made.fake.asked("handover")).toHaveLength(2);
  });

  const says = (
    made: Bench,
    name: "handover-failed" | "locator-unreachable" | "association-closed",
    detail: object,
  ) => made.says({ type: "event", name, local: SELF, peer: BOB, detail: detail as Record<string, string> });
  it.each([
    [
      "handover-failed",
      { reason: "no_such_path" },
      'failed: the association with "bob" was not moved: no such path',
    ],
    [
      "locator-unreachable",
      { address: "198.51.100.7" },
      'failed: "bob" does not answer at 198.51.100.7; it stays where it is',
    ],
    [
      "association-closed",
      { reason: "unreachable" },
      'failed: the association with "bob" was not moved: unreachable',
    ],
  ] as const)("that came to nothing says why: %s", (name, detail, message) => {
    const made = bench();
    const id = handover(made, "198.51.100.7");
    says(made, "locator-unreachable", { address: "203.0.113.1" });
    expect(made.finished(id)).toBe(false);
    says(made, name, detail);
    const [reply] = made.replies(id) as Extract<ControlReply, { type: "error" }>[];
    expect(`${reply?.code}: ${reply?.message}`).toBe(message);
  });

  it("that is not answered ends in time", () => {
    const made = bench();
    // What is to be saved is out of the way.
    made.now += 1_500;
    made.give({ type: "timeout" });
    const id = handover(made, "198.51.100.7", undefined, 300);
    expect(made.overlay.deadline()?.at).toBe(made.now + 300);
    made.now += 300;
    made.give({ type: "timeout" });
    expect(made.replies(id)).toMatchObject([
      { type: "error", code: "timeout", message: expect.stringContaining("300 ms") },
    ]);
  });

  it("is refused where it cannot be", () => {
    const made = bench();
    const ask = (to?: string, from?: string, timeoutMillis = 5000) =>
      error(made, { type: "handover", peer: "bob", to, from, timeoutMillis });
    expect(ask("203.0.113.1")).toBe(
      'not_found: 203.0.113.1 is not an address of "bob"; it is known to be at 192.0.2.10, 198.51.100.7',
    );
    expect(ask(undefined, "203.0.113.1")).toBe(
      "invalid: 203.0.113.1 is not an address of this host; it has 192.0.2.1, 10.0.0.5",
    );
    expect(ask("bob")).toBe('invalid: "bob" is not an IP address');
    expect(ask(undefined, undefined, 0)).toMatch(/^invalid: timeout 0 ms/);
    made.fake.views.clear();
    expect(ask("198.51.100.7")).toMatch(
      /^not_found: there is no association with "bob" to move; hipctl connect bob/,
    );
  });

  it("has a limit, and a caller that goes away makes room", () => {
    const made = bench();
    const ids = Array.from({ length: MAX_HANDOVERS_WAITING }, () => handover(made, "198.51.100.7"));
    const full = handover(made, "198.51.100.7");
    expect(made.replies(full)).toMatchObject([{ type: "error", code: "failed" }]);
    made.give({ type: "cancel", id: ids[0] as never });
    expect(made.finished(handover(made, "198.51.100.7"))).toBe(false);
    expect(made.overlay.metrics().overflows).toMatchObject({ handovers_waiting: 1 });
  });
});

it("locators are counted by side and state", () => {
  expect(bench().overlay.metrics().locators).toEqual({
    "own host": 2,
    "own static": 0,
    "own cloud": 0,
    "own reflexive": 0,
    "peer UNVERIFIED": 1,
    "peer ACTIVE": 1,
    "peer DEPRECATED": 0,
  });
});

describe("an absence that is announced", () => {
  it("goes to every associated peer, which are named", () => {
    const made = bench();
    expect(made.answer({ type: "away", seconds: 600 })).toEqual({
      type: "away",
      peers: ["bob"],
      seconds: 600,
    });
    expect(made.fake.asked("away")).toEqual([{ type: "away", seconds: 600 }]);
  });

  it("is a day at most", () => {
    expect(error(bench(), { type: "away", seconds: 86_401 })).toBe(
      "invalid: 86401 seconds is not between 0 and 86400",
    );
  });
});

describe("a clone", () => {
  it("is shown as the peer's last error, whichever side has it", () => {
    const made = bench();
    const tell = (detail: Record<string, string>): string | undefined => {
      made.says({ type: "event", name: "clone-detected", local: SELF, peer: BOB, detail });
      return made.overlay.peers.byHit(BOB)?.lastError?.text;
    };
    expect(tell({ kept: "192.0.2.10:10500", refused: "203.0.113.5:10500" })).toContain(
      "called from 203.0.113.5:10500; the first one keeps the association",
    );
    expect(tell({ other: "203.0.113.5:10500" })).toBe(
      "another host with our identity is at 203.0.113.5:10500",
    );
  });

  it("is why the exchange fails that comes to its end soon after it, and no later one", () => {
    const made = bench();
    const says = (name: HostEvent["name"], detail: Record<string, string>): string | undefined => {
      made.says({ type: "event", name, local: SELF, peer: BOB, detail });
      return made.overlay.peers.byHit(BOB)?.lastError?.text;
    };
    const failed = { reason: "no_answer_to_i2" };
    says("clone-detected", { other: "203.0.113.5:10500" });
    expect(says("association-failed", failed)).toBe(
      "no_answer_to_i2: another host with our identity is at 203.0.113.5:10500",
    );
    expect(says("association-failed", failed)).toBe("no_answer_to_i2");
    says("clone-detected", { other: "203.0.113.5:10500" });
    made.now += 60_000;
    expect(says("association-failed", failed)).toBe("no_answer_to_i2");
  });
});
