/** No bytes from the network make the DNS code throw, and answers to whatever is a query can be read. */
import { decode } from "dns-packet";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NAME_TTL } from "../../src/overlay/name-answers.ts";
import { readQuery, writeAnswer, writeFailure } from "../../src/runtime/dns/message.ts";
import { decodeHipRecord, encodeHipRecord } from "../../src/wire/rfc8005.ts";
import { opt, query } from "../support/dns.ts";

const REFUSED = { code: "REFUSED", answers: [], authority: [] } as const;

/** Queries with some bytes changed, cut or doubled: near enough to real ones to get deep. */
const nearQuery = fc
  .tuple(
    fc.constantFrom("bob.hip", "x.y.z.hip", "2.1.18.198.in-addr.arpa", "."),
    fc.constantFrom("A", "AAAA", "HIP", "ANY", "SOA", "UNKNOWN_65280"),
    fc.boolean(),
    fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 }),
    fc.nat(100),
  )
  .map(([name, type, edns, changes, cut]) => {
    const bytes = Buffer.from(query(name, type, edns ? { additionals: [opt(1232)] } : {}));
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return new Uint8Array(bytes.subarray(0, Math.max(0, bytes.length - (cut > 50 ? cut - 50 : 0))));
  });

describe("queries", () => {
  it.each([
    ["any bytes", fc.uint8Array({ maxLength: 600 })],
    ["bytes that are nearly a query", nearQuery],
  ])("%s", (_what, bytes) => {
    fc.assert(
      fc.property(bytes, (message) => {
        const read = readQuery(message);
        if (read === undefined) return;
        if ("answer" in read) {
          expect(read.answer.length).toBeGreaterThanOrEqual(12);
          expect(read.answer.length).toBeLessThanOrEqual(512);
          return;
        }
        const { query: asked } = read;
        const soa = { owner: "hip", type: "SOA", server: "me.hip", mailbox: "root.hip" } as const;
        for (const answer of [REFUSED, { code: "NXDOMAIN", answers: [], authority: [soa] } as const]) {
          const bytes = writeAnswer(asked, answer, "udp");
          const packet = decode(Buffer.from(bytes));
          expect(packet.id).toBe(asked.id);
          expect(packet.questions?.[0]?.name.replace(/^\.$/, "")).toBe(asked.name);
          for (const one of packet.authorities ?? []) expect(one).toMatchObject({ ttl: NAME_TTL });
        }
        expect(decode(Buffer.from(writeFailure(asked))).flag_qr).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("HIP records", () => {
  it("any bytes are read or refused, and what is read is written again as it was", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc
        .tuple(
          fc.uint8Array({ maxLength: 20 }),
          fc.uint8Array({ maxLength: 40 }),
          fc.uint8Array({ maxLength: 40 }),
        )
        .map(([hit, key, rest]) => Uint8Array.of(hit.length, 2, 0, key.length, ...hit, ...key, ...rest)),
    );
    fc.assert(
      fc.property(bytes, (rdata) => {
        const record = decodeHipRecord(rdata);
        if (record.ok) expect(encodeHipRecord(record.value)).toEqual(rdata);
      }),
      { numRuns: 5_000 },
    );
  });
});
