/** What peers say about where our packets come from. */
import { describe, expect, test } from "vitest";
import type { Endpoint, Hit, Instant } from "../../src/core/types.ts";
import type { PeerTable } from "../../src/overlay/peers.ts";
import { MAX_SIGHTINGS, Sightings } from "../../src/overlay/sightings.ts";

const A = "20010022000000000000000000000001" as Hit;
const B = "20010022000000000000000000000002" as Hit;
const OURS: Endpoint = { address: "10.0.0.5", port: 10500 };
const MAPPED: Endpoint = { address: "198.51.100.1", port: 40001 };
const at = (millis: number): Instant => millis as Instant;
const peers = {
  byHit: (hit: Hit) => (hit === A ? { config: { name: "a" } } : undefined),
} as unknown as PeerTable;
const shown = (sightings: Sightings, now = 10_000) =>
  sightings.views(peers, { now: at(now), wall: Date.parse("2025-01-01T00:00:10.000Z") });

describe("sightings", () => {
  test("tell our own address, too: only that says that there is no NAT", () => {
    const sightings = new Sightings();
    sightings.add(A, OURS, OURS, at(0));
    sightings.add(B, OURS, MAPPED, at(4_000));
    expect(shown(sightings)).toEqual([
      {
        peer: "a",
        hit: "2001:22::1",
        local: "10.0.0.5:10500",
        seen: "10.0.0.5:10500",
        since: "2025-01-01T00:00:00.000Z",
      },
      {
        peer: null,
        hit: "2001:22::2",
        local: "10.0.0.5:10500",
        seen: "198.51.100.1:40001",
        since: "2025-01-01T00:00:04.000Z",
      },
    ]);
  });

  test("a peer's last word counts, since it first said so", () => {
    const sightings = new Sightings();
    sightings.add(A, OURS, MAPPED, at(0));
    sightings.add(A, OURS, MAPPED, at(5_000));
    expect(shown(sightings)[0]?.since).toBe("2025-01-01T00:00:00.000Z");
    sightings.add(A, OURS, OURS, at(6_000));
    expect(shown(sightings)).toMatchObject([{ seen: "10.0.0.5:10500", since: "2025-01-01T00:00:06.000Z" }]);
  });

  test("go with the peer and with our address", () => {
    const sightings = new Sightings();
    sightings.add(A, OURS, MAPPED, at(0));
    sightings.add(B, OURS, MAPPED, at(0));
    sightings.forget(A);
    expect(shown(sightings).map(({ hit }) => hit)).toEqual(["2001:22::2"]);
    sightings.keep(() => false);
    expect(shown(sightings)).toEqual([]);
  });

  test("are bounded, and counted beyond that", () => {
    const sightings = new Sightings();
    for (let i = 0; i < MAX_SIGHTINGS + 3; i++)
      sightings.add(i.toString(16).padStart(32, "0") as Hit, OURS, MAPPED, at(0));
    expect(shown(sightings)).toHaveLength(MAX_SIGHTINGS);
    expect(sightings.overflows()).toEqual({ sightings: 3 });
  });
});
