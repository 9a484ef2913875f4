/** What people read: tables, lists, sizes, times. */
import { describe, expect, test } from "vitest";
import { listText as associationsText } from "../../src/cli/commands/association.ts";
import { eventText } from "../../src/cli/commands/events.ts";
import { detailsText, listText as identitiesText } from "../../src/cli/commands/identity.ts";
import { hostsText } from "../../src/cli/commands/peer.ts";
import { PingSummary, pingText } from "../../src/cli/commands/ping.ts";
import { reloadText, statusText } from "../../src/cli/commands/status.ts";
import { ago, bytes, duration, millis, pairs, table } from "../../src/cli/output.ts";
import {
  type AssociationDetails,
  associationText,
  type PeerView,
  peerText,
  type StatusView,
} from "../../src/cli/views.ts";
import { NOW, QUIET } from "../support/cli.ts";
import { ASSOCIATION, IDENTITY, PEER, STATUS } from "../support/views.ts";

const DB1: PeerView = {
  ...PEER,
  hit: "2001:22:aabb:ccdd:eeff:1122:3344:5566",
  lsi: "198.18.77.3",
  txBytes: 1_234_567,
  rxBytes: 999,
  txPackets: 1_300,
  rxPackets: 9,
  establishedAt: "2025-01-02T01:59:05.000Z",
  locators: ["192.0.2.10:10500", "[2001:db8::10]:10500"],
  rttMillis: 1.25,
  otherPaths: 2,
  loss: 0,
  handovers: 3,
};
const WEB: PeerView = {
  ...DB1,
  name: "web.prod",
  hit: null,
  lsi: null,
  state: "E-FAILED",
  suite: null,
  path: null,
  txBytes: 0,
  rxBytes: 0,
  txPackets: 0,
  rxPackets: 0,
  establishedAt: null,
  lastError: "no answer to I1",
  lastErrorAt: "2025-01-02T03:04:00.000Z",
  locators: [],
  source: "runtime",
  file: "",
  opportunistic: true,
  pathState: null,
  rttMillis: null,
  otherPaths: 0,
};
const HERE = { ...IDENTITY, peers: ["db1", "web.prod"] };
const HOST: StatusView = {
  ...STATUS,
  self: { ...STATUS.self, identities: [HERE], addresses: ["192.0.2.1", "2001:db8::1"] },
  peers: [DB1, WEB],
};
const MADE: AssociationDetails = {
  ...ASSOCIATION,
  hit: "2001:22:aabb:ccdd:eeff:1122:3344:5566",
  lsi: "198.18.77.3",
  exchangeMillis: 12.345,
  since: "2025-01-02T02:59:05.000Z",
  establishedAt: "2025-01-02T02:59:05.000Z",
  txBytes: 1_234_567,
  rxBytes: 999,
  txPackets: 1_300,
  rxPackets: 9,
  pathState: "unverified",
  rttMillis: null,
  loss: 0.025,
};

test("status fits a narrow terminal: what can be spared is left out, who and how is not", () => {
  const terminal = { columns: () => 80, rows: () => 24, keys: () => () => {}, onResize: () => () => {} };
  const lines = statusText(HOST, { ...QUIET, terminal }).split("\n");
  const table = lines.slice(lines.findIndex((line) => line.startsWith("PEER")));
  for (const line of table) expect(line.length).toBeLessThanOrEqual(80);
  expect(table[0]).toBe("PEER      STATE        LSI          ADDRESS              SENT  RECEIVED");
});

describe("goldens", () => {
  test("status", () => {
    expect(`\n${statusText(HOST, QUIET)}`).toMatchInlineSnapshot(`
      "
      hipd       0.1.0, up 3 h 4 min
      HIT        2001:22::1  (identity, ECDSA P-256)
      LSI        198.18.0.1  (prefix 198.18.0.0/15)
      interface  hip0
      listening  UDP port 10500 on 192.0.2.1, 2001:db8::1

      PEER      STATE        HIT                                    LSI          ADDRESS           PATH                         SUITE          SENT  RECEIVED      SINCE
      db1       ESTABLISHED  2001:22:aabb:ccdd:eeff:1122:3344:5566  198.18.77.3  192.0.2.10:10500  verified, 1.25 ms, 2 others  AES-GCM-16  1.2 MiB     999 B  1 h 5 min
      web.prod  E-FAILED     -                                      -            -                 -                            -               0 B       0 B          -
      "
    `);
  });
  test("status without peers says what to do", () => {
    expect(statusText({ ...HOST, peers: [] }, QUIET)).toContain(
      "\nNo peers. Add one: hipctl peer add NAME --hit HIT --locator ADDRESS\n",
    );
  });
  test("peer show", () => {
    expect(`\n${peerText(DB1, NOW, false)}`).toMatchInlineSnapshot(`
      "
      name            db1
      state           ESTABLISHED
      HIT             2001:22:aabb:ccdd:eeff:1122:3344:5566
      LSI             198.18.77.3
      path            udp 192.0.2.1:10500 > 192.0.2.10:10500
      path state      verified, 1.25 ms, 2 others
      locators        192.0.2.10:10500, [2001:db8::10]:10500
      encapsulation   udp
      suite           AES-GCM-16
      sent            1.2 MiB in 1300 packets
      received        999 B in 9 packets
      established     2025-01-02T01:59:05.000Z (1 h 5 min ago)
      our identity    2001:22::1
      inbound family  hit
      from            /etc/hipd/hipd.toml
      "
    `);
    expect(`\n${peerText(WEB, NOW, false)}`).toMatchInlineSnapshot(`
      "
      name            web.prod
      state           E-FAILED
      HIT             not known yet (opportunistic)
      locators        none: this peer must speak first
      encapsulation   udp
      sent            0 B in 0 packets
      received        0 B in 0 packets
      last error      no answer to I1 (5 s ago)
      our identity    2001:22::1
      inbound family  hit
      from            added at run time, not kept
      "
    `);
  });
  test("association list and show", () => {
    expect(`\n${associationsText([MADE], QUIET)}`).toMatchInlineSnapshot(`
      "
      PEER  STATE        ROLE       PATH                                    PATH STATE           SUITE       DH     SPI IN      SPI OUT        SENT  RECEIVED    FOR
      db1   ESTABLISHED  initiator  udp 192.0.2.1:10500 > 192.0.2.10:10500  unverified, 1 other  AES-GCM-16  P-256  0x0a0b0c0d  0x01020304  1.2 MiB     999 B  5 min
      "
    `);
    expect(`\n${associationText(MADE, NOW, false)}`).toMatchInlineSnapshot(`
      "
      peer          db1
      state         ESTABLISHED for 5 min
      role          initiator
      HIT           2001:22:aabb:ccdd:eeff:1122:3344:5566
      LSI           198.18.77.3
      our identity  2001:22::1
      path          udp 192.0.2.1:10500 > 192.0.2.10:10500
      path state    unverified, 1 other
      path loss     2.5 %
      path MTU      1500 bytes
      ESP suite     AES-GCM-16
      HIP cipher    AES-128-CBC
      DH group      P-256
      SPI in        0x0a0b0c0d
      SPI out       0x01020304
      exchange      12.3 ms
      established   2025-01-02T02:59:05.000Z (5 min ago)
      sent          1.2 MiB in 1300 packets
      received      999 B in 9 packets
      "
    `);
  });
  test("identity list and show", () => {
    expect(`\n${identitiesText([HERE], false)}`).toMatchInlineSnapshot(`
      "
      IDENTITY  DEFAULT  ALGORITHM    HIT         PEERS
      identity  yes      ECDSA P-256  2001:22::1  db1, web.prod
      "
    `);
    expect(
      `\n${detailsText({ identity: HERE, hipRecord: "IN HIP ( 2 2001 AA )" }, false)}`,
    ).toMatchInlineSnapshot(`
      "
      name        identity (default)
      HIT         2001:22::1
      algorithm   ECDSA P-256 (HIT suite 2)
      file        /var/lib/hipd/identity.pem
      shown to    db1, web.prod
      DNS record  IN HIP ( 2 2001 AA )
      "
    `);
  });
  test("peer list as hosts", () => {
    expect(hostsText([DB1, WEB])).toBe(
      "198.18.77.3 db1.hip db1\n2001:22:aabb:ccdd:eeff:1122:3344:5566 db1.hip db1\n",
    );
  });
  test("ping", () => {
    const summary = new PingSummary("db1");
    const replies = [
      {
        type: "ping-start",
        name: "db1",
        hit: "2001:22::7",
        lsi: "198.18.0.7",
        exchangeMillis: 12.3,
        path: DB1.path,
      },
      { type: "ping-reply", sequence: 1, bytes: 56, rttMillis: 0.4123, path: DB1.path },
      { type: "ping-lost", sequence: 2 },
      { type: "ping-reply", sequence: 3, bytes: 56, rttMillis: 12.34, path: DB1.path },
    ] as const;
    let text = "\n";
    for (const reply of replies) {
      summary.add(reply);
      text += pingText(reply, summary.name, 56);
    }
    text += pingText(summary.done(), summary.name, 56);
    expect(text).toMatchInlineSnapshot(`
      "
      ping db1 (2001:22::7, 198.18.0.7), 56 bytes, association made in 12.3 ms
      1: 0.412 ms over udp 192.0.2.1:10500 > 192.0.2.10:10500
      2: no answer
      3: 12.3 ms over udp 192.0.2.1:10500 > 192.0.2.10:10500
      db1: 3 sent, 2 answered, 33 % lost; least/mean/most 0.412 ms / 6.38 ms / 12.3 ms
      "
    `);
  });
  test("events", () => {
    const event = {
      number: 7,
      time: "2025-01-02T03:04:05.678Z",
      name: "association-established" as const,
      peer: "db1",
      hit: "2001:22::7",
      detail: { suite: "AES-GCM-16", millis: 12, why: "two words" },
    };
    expect(eventText(event, false)).toBe(
      '03:04:05.678  association-established  db1  2001:22::7  suite=AES-GCM-16  millis=12  why="two words"\n',
    );
    expect(eventText(event, true)).toContain("\x1b[32massociation-established\x1b[0m");
  });
  test("reload", () => {
    const none = {
      added: [],
      removed: [],
      changed: [],
      host: false,
      identities: false,
      locators: false,
      needsRestart: [],
    };
    expect(reloadText(none)).toBe("nothing changed\n");
    expect(reloadText({ ...none, added: ["a", "b"], host: true, needsRestart: ["network.port"] })).toBe(
      "peers added: a, b\nprotocol settings changed\ntakes effect after a restart: network.port\n",
    );
  });
});

describe("shapes", () => {
  test("columns are as wide as their widest cell, also with colours", () => {
    const rows = [
      { a: "x", n: 5 },
      { a: "longer", n: 12_345 },
    ];
    const columns = [
      { title: "A", value: (row: { a: string }) => row.a, style: () => "green" as const },
      { title: "N", value: (row: { n: number }) => String(row.n), align: "right" as const },
    ];
    const plain = table(rows, columns, false);
    expect(plain).toBe("A           N\nx           5\nlonger  12345\n");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the colours.
    expect(table(rows, columns, true).replace(/\x1b\[\d+m/g, "")).toBe(plain);
    expect(table(rows, columns, true)).toContain("\x1b[32mx     \x1b[0m");
  });
  test("unknown cells are a dash, unknown pairs are left out", () => {
    expect(table([{}], [{ title: "A", value: () => "" }], false)).toBe("A\n-\n");
    expect(
      pairs(
        [
          ["a", "1"],
          ["bbb", null],
          ["cc", ""],
        ],
        false,
      ),
    ).toBe("a  1\n");
  });
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [10_240, "10 KiB"],
    [1_234_567, "1.2 MiB"],
    [2 ** 40 * 1.5, "1.5 TiB"],
  ])("%d bytes", (count, text) => expect(bytes(count)).toBe(text));
  test.each([
    [0, "0 s"],
    [59.9, "59 s"],
    [60, "1 min"],
    [7_500, "2 h 5 min"],
    [90_061, "1 d 1 h"],
    [-3, "0 s"],
  ])("%d seconds", (count, text) => expect(duration(count)).toBe(text));
  test("times", () => {
    expect(ago("2025-01-02T03:00:05.000Z", NOW)).toBe("4 min");
    expect(ago(null, NOW)).toBe("");
    expect([millis(0.4123), millis(1.234), millis(12.34), millis(123.4), millis(null)]).toEqual([
      "0.412 ms",
      "1.23 ms",
      "12.3 ms",
      "123 ms",
      "-",
    ]);
  });
});
