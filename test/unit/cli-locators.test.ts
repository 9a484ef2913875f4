/** What hipctl locator and hipctl handover print. */
import { expect, test } from "vitest";
import { handoverText, listText as locatorsText } from "../../src/cli/commands/locator.ts";
import { QUIET } from "../support/cli.ts";
import { IN_USE, UNUSED } from "../support/views.ts";

const LOCATORS: Parameters<typeof locatorsText>[0] = {
  own: [
    {
      address: "10.0.0.5:10500",
      source: "host",
      interface: "eth0",
      state: "offered",
      reason: null,
      preferred: true,
      preference: 25_000,
      since: "2025-01-02T03:00:00.000Z",
      lifetimeSeconds: null,
      rttMillis: 0.512,
      loss: 0,
      mtu: 1500,
    },
    {
      address: "172.17.0.1:10500",
      source: "host",
      interface: "docker0",
      state: "left-out",
      reason: "interface of containers or a tunnel",
      preferred: false,
      preference: 24_000,
      since: "2025-01-02T03:00:00.000Z",
      lifetimeSeconds: null,
      rttMillis: null,
      loss: null,
      mtu: null,
    },
  ],
  peers: [
    {
      name: "db1",
      hit: "2001:22::7",
      locators: [{ ...IN_USE, since: "2025-01-02T03:04:00.000Z", rttMillis: 0.512 }, UNUSED],
      paths: [
        {
          path: { carrier: "udp", local: "10.0.0.5:10500", remote: "192.0.2.10:10500" },
          inUse: true,
          state: "verified",
          heardAt: "2025-01-02T03:04:00.000Z",
          rttMillis: 0.512,
          loss: 0,
          mtu: 1500,
        },
      ],
    },
  ],
};

test("locator list, handover", () => {
  expect(`\n${locatorsText(LOCATORS, QUIET)}`).toMatchInlineSnapshot(`
    "
    this host
      LOCATOR           STATE     SOURCE  INTERFACE    AGE       RTT   LOSS   MTU  REMARK
    * 10.0.0.5:10500    offered   host    eth0       4 min  0.512 ms  0.0 %  1500  -
      172.17.0.1:10500  left-out  host    docker0    4 min         -      -     -  interface of containers or a tunnel

    db1 (2001:22::7)
      LOCATOR               STATE   SOURCE                AGE       RTT   LOSS   MTU
    * 192.0.2.10:10500      ACTIVE  announced, preferred  5 s  0.512 ms  0.0 %  1500
      [2001:db8::10]:10500  UNUSED  configured              -         -      -     -
      PATH                                   STATE     HEARD       RTT   LOSS   MTU
    * udp 10.0.0.5:10500 > 192.0.2.10:10500  verified    5 s  0.512 ms  0.0 %  1500
    "
  `);
  const path = LOCATORS.peers[0]?.paths[0]?.path ?? null;
  expect(handoverText({ name: "db1", moved: true, path, millis: 1.5 }, true)).toBe(
    "db1 moved to udp 10.0.0.5:10500 > 192.0.2.10:10500 in 1.50 ms\n",
  );
  expect(handoverText({ name: "db1", moved: false, path: null, millis: 0 }, true)).toBe(
    "db1 is at no path already, and stays there\n",
  );
});
