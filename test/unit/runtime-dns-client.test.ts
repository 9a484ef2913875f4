/** The small DNS client against servers that forge, truncate, delay and lie; and what a lookup makes of a host's records. */
import type { Answer, Packet } from "dns-packet";
import { afterEach, describe, expect, it } from "vitest";
import { hipRdata } from "../../src/crypto/hip-record.ts";
import { Identity } from "../../src/crypto/identity.ts";
import { DnsClient, type DnsReply } from "../../src/runtime/dns/client.ts";
import { lookUp } from "../../src/runtime/dns/lookup.ts";
import { parseResolvConf } from "../../src/runtime/dns/resolv-conf.ts";
import { decodeHipRecord, encodeHipRecord } from "../../src/wire/rfc8005.ts";
import { AA, AD, FakeDns, type Say } from "../support/dns.ts";

const NAME = "vm1.example.org";
const TC = 0x0200;
const RA = 0x0080;
const identity = Identity.generate("ecdsa-p256").publicOnly();
const other = Identity.generate("ecdsa-p256").publicOnly();

const opened: FakeDns[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

async function fake(say: Say, host = "127.0.0.1", port = 0): Promise<FakeDns> {
  const server = await FakeDns.open(say, host, port);
  opened.push(server);
  return server;
}

function clientOf(port: number, servers: readonly string[] = ["127.0.0.1"]): DnsClient {
  return new DnsClient({ servers: () => servers, port, answerMillis: 150 });
}

const a = (data: string, name = NAME, ttl = 300): Answer => ({ name, type: "A", class: "IN", ttl, data });
const hip = (rdata: Uint8Array | undefined, ttl = 300): Answer => ({
  name: NAME,
  type: "HIP",
  class: "IN",
  ttl,
  data: Buffer.from(rdata ?? []),
});

async function reply(from: DnsClient, type: "A" | "AAAA" | "HIP" = "A"): Promise<DnsReply> {
  const found = await from.ask(NAME, type);
  if (!found.ok) throw new Error(found.error);
  return found.value;
}

describe("an answer", () => {
  it("has the records of the name, and is good as long as the shortest of them", async () => {
    const server = await fake(() => ({
      flags: RA,
      answers: [a("192.0.2.1"), a("192.0.2.2", NAME, 60), a("192.0.2.3", "x.org", 1)],
    }));
    expect(await reply(clientOf(server.port))).toMatchObject({
      exists: true,
      addresses: ["192.0.2.1", "192.0.2.2"],
      ttl: 60,
    });
  });

  it("is followed along aliases, but not for ever", async () => {
    const alias = (name: string, data: string, ttl: number): Answer => ({
      name,
      type: "CNAME",
      class: "IN",
      ttl,
      data,
    });
    const server = await fake(() => ({
      answers: [alias(NAME, "b.org", 9), alias("B.org", "c.org", 99), a("192.0.2.1", "c.org")],
    }));
    expect(await reply(clientOf(server.port))).toMatchObject({ addresses: ["192.0.2.1"], ttl: 9 });
    server.say = () => ({ answers: [alias(NAME, "b.org", 9), alias("b.org", NAME, 9)] });
    expect((await reply(clientOf(server.port))).addresses).toEqual([]);
  });

  it("that there is no such name lasts as its SOA says (RFC 2308)", async () => {
    const soa: Answer = { name: "org", type: "SOA", ttl: 500, data: { mname: "a", rname: "b", minimum: 44 } };
    const server = await fake(() => ({ flags: 3, authorities: [soa] }));
    expect(await reply(clientOf(server.port))).toMatchObject({ exists: false, addresses: [], ttl: 44 });
  });

  it("asks with another ID, port and mixture of letters each time", async () => {
    const server = await fake(() => ({ answers: [a("192.0.2.1")] }));
    const client = clientOf(server.port);
    for (let n = 0; n < 8; n++) await reply(client);
    expect(new Set(server.asked.map(({ name }) => name)).size).toBeGreaterThan(4);
    expect(new Set(server.asked.map(({ name }) => name.toLowerCase()))).toEqual(new Set([NAME]));
  });
});

describe("what is no answer", () => {
  it.each<[string, (packet: Packet) => Packet]>([
    ["another ID", (packet) => ({ ...packet, id: 1 })],
    ["a query", (packet) => ({ ...packet, type: "query" })],
    [
      "another name",
      (packet) => ({ ...packet, questions: [{ name: "vm2.example.org", type: "A", class: "IN" }] }),
    ],
    ["another type", (packet) => ({ ...packet, questions: [{ name: NAME, type: "TXT", class: "IN" }] })],
    ["no question", (packet) => ({ ...packet, questions: [] })],
  ])("%s is passed over", async (_what, forge) => {
    const server = await fake(() => forge({ answers: [a("203.0.113.66")] }));
    const client = clientOf(server.port);
    expect(await client.ask(NAME, "A")).toMatchObject({ ok: false });
    expect(client.counters()).toMatchObject({ answered: 0, mismatched: 2, timeouts: 2 });
  });

  it("the same name in other letters counts for nothing by UDP: it is asked for by TCP", async () => {
    const server = await fake((_question, tcp) =>
      tcp
        ? { answers: [a("192.0.2.1")] }
        : { questions: [{ name: NAME.toUpperCase(), type: "A", class: "IN" }], answers: [a("203.0.113.66")] },
    );
    const client = clientOf(server.port);
    expect((await reply(client)).addresses).toEqual(["192.0.2.1"]);
    expect(client.counters().tcp).toBe(1);
  });

  it("garbage does not end the wait", async () => {
    const server = await fake(() => Buffer.from("00ff00ff00ff00ff00ff00ff00ff", "hex"));
    const client = clientOf(server.port);
    expect(await client.ask(NAME, "A")).toMatchObject({ ok: false });
    expect(client.counters().mismatched).toBe(2);
  });
});

it("a truncated answer is asked for by TCP", async () => {
  const server = await fake((_question, tcp) => (tcp ? { answers: [a("192.0.2.1")] } : { flags: TC }));
  expect((await reply(clientOf(server.port))).addresses).toEqual(["192.0.2.1"]);
  expect(server.asked.map(({ tcp }) => tcp)).toEqual([false, true]);
});

it("the next server is asked when one fails, refuses or is not there", async () => {
  const first = await fake(() => ({ flags: 2 }), "127.0.0.2");
  await fake(() => ({ answers: [a("192.0.2.1")] }), "127.0.0.3", first.port);
  const client = clientOf(first.port, ["127.0.0.4", "127.0.0.2", "127.0.0.3"]);
  expect((await reply(client)).addresses).toEqual(["192.0.2.1"]);
  expect(client.counters().failed).toBe(2);
});

describe("validated", () => {
  it("is what a resolver on this host says it is", async () => {
    const server = await fake(() => ({ flags: AD, answers: [a("192.0.2.1")] }));
    expect((await reply(clientOf(server.port))).validated).toBe(true);
    server.say = () => ({ flags: AA, answers: [a("192.0.2.1")] });
    expect((await reply(clientOf(server.port))).validated).toBe(false);
  });

  it("is nothing that a resolver elsewhere says: see test/netns/names", () => {
    expect(
      parseResolvConf("nameserver 192.0.2.53\nnameserver ::1\n#nameserver 1.1.1.1\noptions trust-ad\n"),
    ).toEqual(["192.0.2.53", "::1"]);
    expect(parseResolvConf("search x\nnameserver nonsense\n")).toEqual(["127.0.0.1"]);
    expect(parseResolvConf("nameserver 1.1.1.1\n".repeat(9))).toHaveLength(3);
  });
});

describe("a lookup", () => {
  const record = (rendezvous: readonly string[] = []) => hipRdata(identity, rendezvous);

  async function look(say: Say): Promise<Awaited<ReturnType<typeof lookUp>>> {
    return lookUp(clientOf((await fake(say)).port), NAME);
  }

  it("gives HITs, addresses, and those of the rendezvous servers of each record", async () => {
    const found = await look(({ name, type }) => {
      if (type === "HIP")
        return { flags: AD, answers: [hip(record(["rvs.example.org", NAME])), hip(hipRdata(other))] };
      if (type !== "A") return { flags: AD };
      return { flags: AD, answers: [a(name === NAME ? "192.0.2.1" : "192.0.2.9", name)] };
    });
    expect(found).toMatchObject({
      ok: true,
      value: {
        badRecords: 0,
        facts: {
          name: NAME,
          validated: true,
          keys: [
            { hit: identity.hit, rendezvous: ["192.0.2.9"] },
            { hit: other.hit, rendezvous: [] },
          ],
          addresses: ["192.0.2.1"],
        },
      },
    });
  });

  it("tells how long the records count, and how long all else", async () => {
    const at = async (records: Answer[], ttl: number) => {
      const found = await look(({ type }) => ({
        answers: type === "HIP" ? records : type === "A" ? [a("192.0.2.1", NAME, ttl)] : [],
      }));
      return found.ok ? [found.value.recordTtl, found.value.ttl] : found.error;
    };
    expect(await at([hip(record(), 7)], 20)).toEqual([7, 20]);
    expect(await at([], 20)).toEqual([undefined, 20]);
  });

  it("does not believe a record whose HIT is not that of its key (RFC 8005 4.1)", async () => {
    const good = decodeHipRecord(record() ?? new Uint8Array(0));
    if (!good.ok) throw new Error(good.error);
    const forged = encodeHipRecord({ ...good.value, hit: Buffer.from(other.hit, "hex") });
    const unknown = encodeHipRecord({ ...good.value, pkAlgorithm: 1 });
    const found = await look(({ type }) =>
      type === "HIP"
        ? { answers: [hip(forged), hip(unknown), hip(Buffer.from("10", "hex"))] }
        : { answers: [] },
    );
    expect(found).toMatchObject({ ok: true, value: { badRecords: 3, facts: { keys: [] } } });
  });

  it("asks for nothing else where there is no such name (RFC 8005 3)", async () => {
    const server = await fake(() => ({ flags: 3 }));
    const found = await lookUp(clientOf(server.port), NAME);
    expect(found).toMatchObject({ ok: true, value: { facts: { keys: [], addresses: [] } } });
    expect(server.asked.map(({ type }) => type)).toEqual(["HIP"]);
  });

  it("fails when nobody answers, so that what was known is kept for its time", async () => {
    expect(await look(() => ({ flags: 2 }))).toMatchObject({ ok: false });
    expect(await look(({ type }) => (type === "HIP" ? {} : { flags: 2 }))).toMatchObject({ ok: false });
  });
});
