/** A DNS server inside a namespace: says what stands in a file of JSON, read again at each question. */
import { readFileSync } from "node:fs";
import { type Answer, encode } from "dns-packet";
import { AD, FakeDns } from "../support/dns.ts";

/** By "name type": addresses, or RDATA as hex for HIP. */
export interface FakeZone {
  readonly validated: boolean;
  /** Every answer claims to be about another name. */
  readonly forged?: boolean;
  readonly records: Readonly<Record<string, readonly string[]>>;
}

const [, , file = "", address = ""] = process.argv;

const server = await FakeDns.open(
  ({ name, type }) => {
    const zone = JSON.parse(readFileSync(file, "utf8")) as FakeZone;
    const found = zone.records[`${name} ${type}`] ?? [];
    const answers = found.map((data): Answer => {
      const common = { name, class: "IN", ttl: 1 } as const;
      return type === "HIP"
        ? { ...common, type, data: Buffer.from(data, "hex") }
        : { ...common, type: type as "A", data };
    });
    const exists = Object.keys(zone.records).some((key) => key.startsWith(`${name} `));
    if (zone.forged === true) return encode({ type: "response", id: 1, flags: AD, answers });
    return { flags: (zone.validated ? AD : 0) | (exists ? 0 : 3), answers };
  },
  address,
  53,
);
process.stdout.write(`listening on ${address}:${server.port}\n`);
