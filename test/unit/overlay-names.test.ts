/** A peer by its name, HIT or LSI; and what is said when there is none. */
import { describe, expect, it } from "vitest";
import { findPeer } from "../../src/overlay/names.ts";
import { Bench, BOB, CAROL, overlayConfig, peerConfig } from "../support/overlay.ts";

const peers = [peerConfig("db1", BOB), peerConfig("db2.example", CAROL)];

function find(text: string, bench = new Bench(overlayConfig({ peers })).start()): string {
  const found = findPeer(text, bench.overlay.peers, bench.overlay.lsis);
  return found.ok ? found.value.config.name : `${found.error.code}: ${found.error.message}`;
}

describe("a peer is found", () => {
  it("by its name", () => {
    expect(find("db1")).toBe("db1");
    expect(find("db2.example")).toBe("db2.example");
  });

  it.each([
    "2001:22:bbbb:bbbb:bbbb:bbbb:bbbb:bbbb",
    "2001:0022:BBBB:bbbb:BBBB:bbbb:bbbb:bbbb",
    "2001:22:bbbb:bbbb:bbbb:bbbb:187.187.187.187",
  ])("by its HIT as %s", (text) => {
    expect(find(text)).toBe("db1");
  });

  it("by its LSI", () => {
    const bench = new Bench(overlayConfig({ peers })).start();
    expect(find(bench.overlay.lsis.lsi(CAROL) ?? "", bench)).toBe("db2.example");
  });
});

describe("an unknown peer is answered with a hint", () => {
  it.each([
    ["bd1", '"db1"'],
    ["db3", '"db1"'],
    ["DB1", '"db1"'],
    ["example", '"db2.example"'],
  ])("%s: did you mean %s", (text, near) => {
    const said = find(text);
    expect(said).toMatch(/^not_found: no peer is named/);
    expect(said).toContain("did you mean");
    expect(said).toContain(near);
  });

  it("or with where to look, when nothing is near", () => {
    expect(find("completely-different")).toContain("hipctl peer list");
    expect(find("")).toContain("hipctl peer list");
  });

  it("for HITs and LSIs too", () => {
    expect(find("2001:22:dddd:dddd:dddd:dddd:dddd:dddd")).toMatch(/^not_found: .*hipctl peer add/);
    expect(find("2001:db8::1")).toMatch(/^invalid: .*not a HIT/);
    expect(find("198.18.255.255")).toMatch(/^not_found: no peer has the LSI/);
    const bench = new Bench(overlayConfig({ peers })).start();
    expect(find(bench.overlay.ownLsi, bench)).toMatch(/^invalid: .*own LSI/);
  });

  it("and tells of an LSI whose peer is gone", () => {
    const bench = new Bench(overlayConfig({ peers })).start();
    const lsi = bench.overlay.lsis.lsi(BOB) ?? "";
    bench.answer({ type: "peer-remove", peer: "db1", keep: false });
    expect(find(lsi, bench)).toContain("not a peer any more");
  });
});
