/** The table of peers: who may be at an address, and what is remembered of where they were. */
import { expect, it } from "vitest";
import type { Hit, Lsi } from "../../src/core/types.ts";
import type { PeerConfig } from "../../src/overlay/config.ts";
import { PeerTable } from "../../src/overlay/peers.ts";
import { peerConfig, SELF } from "../support/overlay.ts";

const ADDRESS = "198.51.100.1";
const at = (address: string, port = 10500) => ({ address, port });

function table(): PeerTable {
  return new PeerTable([SELF], SELF, false, () => true);
}

function config(n: number, more: Partial<PeerConfig> = {}): PeerConfig {
  const hit = `20010020${n.toString(16).padStart(24, "0")}` as Hit;
  return { ...peerConfig(`peer-${n}`, hit), locators: [at(ADDRESS, 10500 + n)], ...more };
}

it("finds all peers that share an address, and no others", () => {
  const peers = table();
  const names = (address: string) => peers.at("udp", address).map((peer) => peer.config.name);
  expect(names(ADDRESS)).toEqual([]);
  const [one, two, three] = [1, 2, 3].map((n) => peers.add(config(n)));
  if (one === undefined || two === undefined || three === undefined) throw new Error("three were added");
  expect(names(ADDRESS)).toEqual(["peer-1", "peer-2", "peer-3"]);
  expect(peers.at("none", ADDRESS)).toEqual([]);
  peers.remove(two);
  expect(names(ADDRESS)).toEqual(["peer-1", "peer-3"]);
  peers.update(one, config(1, { locators: [at("198.51.100.2"), at("198.51.100.2", 1)] }));
  expect(names(ADDRESS)).toEqual(["peer-3"]);
  expect(names("198.51.100.2")).toEqual(["peer-1"]);
  peers.remove(three);
  peers.remove(one);
  expect([...names(ADDRESS), ...names("198.51.100.2")]).toEqual([]);
  peers.add(config(4));
  const five = peers.add(config(5, { locators: [at(ADDRESS), at("198.51.100.3")] }));
  peers.learn(five, [at("198.51.100.4")]);
  expect(names(ADDRESS)).toEqual(["peer-4", "peer-5"]);
  expect(names("198.51.100.4")).toEqual(["peer-5"]);
  peers.remove(five);
  expect(names(ADDRESS)).toEqual(["peer-4"]);
});

it("learns only news, and keeps one list where a peer is as configured", () => {
  const peers = table();
  const peer = peers.add(config(1));
  peers.bind(peer, peer.config.hit as Hit, "10.0.0.1" as Lsi);
  expect(peers.learn(peer, [at(ADDRESS, 10501)])).toBe(true);
  expect(peers.learn(peer, [at(ADDRESS, 10501)])).toBe(false);
  expect(peer.learned).toBe(peer.config.locators);
  expect(peer.locators).toBe(peer.config.locators);
  expect(peers.learn(peer, [at("198.51.100.9")])).toBe(true);
  expect(peer.locators).toEqual([at(ADDRESS, 10501), at("198.51.100.9")]);
});
