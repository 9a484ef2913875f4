/** The DNS responder on real sockets: who is answered, how, and what no query can do to it. */
import { afterEach, describe, expect, it } from "vitest";
import type { Hit, Lsi } from "../../src/core/types.ts";
import { Identity } from "../../src/crypto/identity.ts";
import type { NameAnswer, NameRecord } from "../../src/overlay/name-answers.ts";
import { readQuery } from "../../src/runtime/dns/message.ts";
import { DnsServer, type DnsServerOptions } from "../../src/runtime/dns/server.ts";
import { askTcp, askUdp, type Decoded, framed, opt, query } from "../support/dns.ts";

const HOST = "127.0.0.1";
const BOB = "20010022bbbbbbbbbbbbbbbbbbbbbbbb" as Hit;
const SOA = {
  owner: "hip",
  type: "SOA",
  server: "me.hip",
  mailbox: "hostmaster.hip",
} as const satisfies NameRecord;
const LONG = `${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.hip`;
const key = Identity.generate("rsa-4096").publicOnly();

const servers: DnsServer[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function serve(changes: Partial<DnsServerOptions> = {}): Promise<DnsServer> {
  const opened = await DnsServer.open({ host: HOST, ports: [0], own: () => true, resolve, ...changes });
  if (!opened.ok) throw new Error(opened.error);
  servers.push(opened.value);
  return opened.value;
}

function resolve(name: string, type: number): NameAnswer | undefined {
  const found = (...answers: readonly NameRecord[]): NameAnswer => ({
    code: "NOERROR",
    answers,
    authority: [],
  });
  if (name === "broken.hip") return undefined;
  if (!name.endsWith("hip")) return { code: "REFUSED", answers: [], authority: [] };
  if (name === LONG)
    return { code: "NXDOMAIN", answers: [], authority: [{ ...SOA, server: LONG, mailbox: LONG }] };
  if (name !== "bob.hip") return { code: "NXDOMAIN", answers: [], authority: [SOA] };
  if (type === 1) return found({ owner: name, type: "A", lsi: "198.18.1.2" as Lsi });
  if (type === 28) return found({ owner: name, type: "AAAA", hit: BOB });
  if (type === 12) return found({ owner: name, type: "PTR", target: "bob.hip" });
  if (type === 55)
    return found(...Array.from({ length: 3 }, (): NameRecord => ({ owner: name, type: "HIP", key })));
  return { code: "NOERROR", answers: [], authority: [SOA] };
}

async function ask(server: DnsServer, bytes: Uint8Array): Promise<Decoded> {
  const answer = await askUdp(bytes, HOST, server.port);
  if (answer === undefined) throw new Error("no answer");
  return answer;
}

describe("answers", () => {
  it("A, AAAA and PTR, with authority, a short life and the question letter by letter", async () => {
    const server = await serve();
    const a = await ask(server, query("BoB.hIp", "A"));
    expect(a).toMatchObject({
      id: 7,
      rcode: "NOERROR",
      flag_qr: true,
      flag_aa: true,
      flag_rd: true,
      flag_ra: false,
    });
    expect(a.questions).toMatchObject([{ name: "BoB.hIp", type: "A" }]);
    expect(a.answers).toMatchObject([{ name: "BoB.hIp", type: "A", ttl: 5, data: "198.18.1.2" }]);
    expect((await ask(server, query("bob.hip", "AAAA"))).answers).toMatchObject([
      { data: "2001:22:bbbb:bbbb:bbbb:bbbb:bbbb:bbbb" },
    ]);
    expect((await ask(server, query("bob.hip", "PTR"))).answers).toMatchObject([{ data: "bob.hip" }]);
  });

  it("no such name, and no such type, with the SOA of the zone", async () => {
    const server = await serve();
    const none = await ask(server, query("x.hip", "A"));
    expect(none).toMatchObject({ rcode: "NXDOMAIN", flag_aa: true, answers: [] });
    expect(none.authorities).toMatchObject([
      { name: "hip", type: "SOA", data: { mname: "me.hip", rname: "hostmaster.hip", minimum: 5 } },
    ]);
    const empty = await ask(server, query("bob.hip", "TXT"));
    expect(empty).toMatchObject({ rcode: "NOERROR", answers: [] });
    expect(empty.authorities).toHaveLength(1);
    expect(server.counters().queries).toMatchObject({ nxdomain: 1, nodata: 1 });
  });

  it("everything else is refused, and nobody else is asked", async () => {
    const server = await serve();
    const refused = await ask(server, query("example.org", "A"));
    expect(refused).toMatchObject({ rcode: "REFUSED", flag_aa: false, answers: [], authorities: [] });
    expect((await ask(server, query(".", "NS"))).rcode).toBe("REFUSED");
    const chaos = query("bob.hip", "A");
    chaos.writeUInt16BE(3, chaos.length - 2);
    expect((await ask(server, chaos)).rcode).toBe("REFUSED");
  });

  it("EDNS is answered with EDNS; an unknown version of it is told so", async () => {
    const server = await serve();
    expect((await ask(server, query("bob.hip", "A"))).additionals).toEqual([]);
    const edns = await ask(server, query("bob.hip", "A", { additionals: [opt(4096)] }));
    expect(edns.additionals).toMatchObject([
      { type: "OPT", udpPayloadSize: 1232, ednsVersion: 0, extendedRcode: 0 },
    ]);
    const newer = await ask(server, query("bob.hip", "A", { additionals: [opt(4096, 1)] }));
    expect(newer.answers).toEqual([]);
    expect(newer.additionals).toMatchObject([{ extendedRcode: 1, ednsVersion: 0 }]);
  });

  it("what does not fit is truncated, and comes whole by TCP", async () => {
    const server = await serve();
    const small = await ask(server, query(LONG, "A"));
    expect(small).toMatchObject({ rcode: "NXDOMAIN", flag_tc: true, answers: [], authorities: [] });
    const larger = await ask(server, query(LONG, "A", { additionals: [opt(1232)] }));
    expect(larger.flag_tc).toBe(false);
    expect((await ask(server, query("bob.hip", "HIP", { additionals: [opt(65_535)] }))).flag_tc).toBe(true);
    const [whole] = await askTcp([framed(query("bob.hip", "HIP"))], HOST, server.port, 1);
    expect(whole?.flag_tc).toBe(false);
    expect(whole?.answers).toHaveLength(3);
    expect(server.counters()).toMatchObject({ truncated: 2, tcp: 1 });
  });

  it("by TCP in pieces, and several on one connection", async () => {
    const server = await serve();
    const both = Buffer.concat([framed(query("bob.hip", "A")), framed(query("x.hip", "A"))]);
    const found = await askTcp(
      [both.subarray(0, 1), both.subarray(1, 20), both.subarray(20)],
      HOST,
      server.port,
      2,
    );
    expect(found.map(({ rcode }) => rcode)).toEqual(["NOERROR", "NXDOMAIN"]);
  });

  it("a failure inside is told as one", async () => {
    expect((await ask(await serve(), query("broken.hip", "A"))).rcode).toBe("SERVFAIL");
  });
});

describe("who may ask", () => {
  it("nobody but this host, by UDP and TCP, and others are counted", async () => {
    const server = await serve({ own: (address) => address !== "127.0.0.1" });
    expect(await askUdp(query("bob.hip", "A"), HOST, server.port, 150)).toBeUndefined();
    expect(await askTcp([framed(query("bob.hip", "A"))], HOST, server.port, 1)).toEqual([]);
    expect(server.counters().drops.foreign).toBe(2);
    expect(server.counters().queries.noerror).toBe(0);
  });
});

describe("hostile queries", () => {
  const header = (...words: readonly number[]) => {
    const bytes = Buffer.alloc(12);
    for (const [i, word] of words.entries()) bytes.writeUInt16BE(word, 2 * i);
    return bytes;
  };
  const question = Buffer.from("0000010001", "hex");

  it.each([
    ["another opcode", header(1, 0x2800, 1, 0, 0, 0), 4],
    ["no question", header(1, 0, 0, 0, 0, 0), 1],
    ["two questions", Buffer.concat([header(1, 0, 2, 0, 0, 0), question, question]), 1],
    ["answers in a query", Buffer.concat([header(1, 0, 1, 1, 0, 0), question]), 1],
    ["many additional records", Buffer.concat([header(1, 0, 1, 0, 0, 65_535), question]), 1],
    [
      "a name that points to itself",
      Buffer.concat([header(1, 0, 1, 0, 0, 0), Buffer.from("c00c00010001", "hex")]),
      1,
    ],
    ["a name without its end", Buffer.concat([header(1, 0, 1, 0, 0, 0), Buffer.from("3f61", "hex")]), 1],
    [
      "a name with a zero byte",
      Buffer.concat([header(1, 0, 1, 0, 0, 0), Buffer.from("01000000010001", "hex")]),
      1,
    ],
    [
      "a label with a dot",
      Buffer.concat([header(1, 0, 1, 0, 0, 0), Buffer.from("03612e620000010001", "hex")]),
      1,
    ],
    [
      "a question that is cut off",
      Buffer.concat([header(1, 0, 1, 0, 0, 0), Buffer.from("016100", "hex")]),
      1,
    ],
    [
      "an OPT that is cut off",
      Buffer.concat([header(1, 0, 1, 0, 0, 1), question, Buffer.from("000029", "hex")]),
      1,
    ],
  ])("%s", (_what, bytes, rcode) => {
    const read = readQuery(bytes);
    if (read === undefined || !("answer" in read)) throw new Error("no error answer");
    expect((read.answer[3] as number) & 15).toBe(rcode);
    expect(read.answer).toHaveLength(12);
  });

  it("answers and fragments of a header get nothing", async () => {
    expect(readQuery(Buffer.alloc(11))).toBeUndefined();
    expect(readQuery(query("bob.hip", "A", { type: "response" }))).toBeUndefined();
    const server = await serve();
    expect(await askUdp(Buffer.from("ab"), HOST, server.port, 100)).toBeUndefined();
    expect(server.counters().drops.malformed).toBe(1);
    expect((await ask(server, query("bob.hip", "A"))).rcode).toBe("NOERROR");
  });

  it("a TCP query that says that it is huge ends the connection", async () => {
    const server = await serve();
    expect(await askTcp([Buffer.from("ffff00", "hex")], HOST, server.port, 1)).toEqual([]);
    expect(server.counters().drops.too_long).toBe(1);
  });

  it("more than the limit a second get no answer, and are counted", async () => {
    let now = 0;
    const server = await serve({ now: () => now });
    const many = Buffer.concat(Array.from({ length: 4_001 }, () => framed(query("x.hip", "A"))));
    expect(await askTcp([many], HOST, server.port, 4_001)).toHaveLength(4_000);
    expect(server.counters().drops.limited).toBe(1);
    now = 1_000;
    expect((await ask(server, query("bob.hip", "A"))).rcode).toBe("NOERROR");
  });
});

it("takes the first port that it may have", async () => {
  const first = await serve();
  const second = await serve({ ports: [first.port, 0] });
  expect(second.port).not.toBe(first.port);
  const none = await DnsServer.open({ host: HOST, ports: [first.port], own: () => true, resolve });
  expect(none).toEqual({ ok: false, error: `${HOST}:${first.port}: the address is in use already` });
  const elsewhere = await DnsServer.open({ host: "198.51.100.1", ports: [0], own: () => true, resolve });
  expect(elsewhere.ok).toBe(false);
});
