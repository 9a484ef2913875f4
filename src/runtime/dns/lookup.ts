/** What DNS says about one host: its HIP records, its addresses, and those of its rendezvous servers (RFC 8005 3). */

import { toHex } from "../../core/bytes.ts";
import { err, ok, type Result } from "../../core/types.ts";
import { identityOfRecord } from "../../crypto/hip-record.ts";
import type { DnsFacts, DnsKey } from "../../overlay/dns-peers.ts";
import { decodeHipRecord, isDomainName } from "../../wire/rfc8005.ts";
import type { DnsClient, DnsReply } from "./client.ts";

/** HIP records of one name that are read. */
const MAX_RECORDS = 8;
/** Rendezvous servers of one name that are looked up. */
const MAX_RENDEZVOUS = 4;

export interface Found {
  readonly facts: DnsFacts;
  /** Seconds that addresses, or that there are none, may be believed. */
  readonly ttl: number;
  /** Seconds that the HIP records may be believed; undefined: there are none. */
  readonly recordTtl: number | undefined;
  /** Records that are malformed, of an unknown algorithm, or whose HIT is not that of their key. */
  readonly badRecords: number;
}

export async function lookUp(client: Pick<DnsClient, "ask">, name: string): Promise<Result<Found, string>> {
  const hip = await client.ask(name, "HIP");
  if (!hip.ok) return hip;
  const { validated } = hip.value;
  // RFC 8005 3: where there is no such name nothing else is asked.
  if (!hip.value.exists) {
    const facts = { name, validated, keys: [], addresses: [] };
    return ok({ facts, ttl: hip.value.ttl, recordTtl: undefined, badRecords: 0 });
  }
  const own = await addressesOf(client, name);
  if (!own.ok) return own;
  const none = hip.value.rdata.length === 0;
  const recordTtl = none ? undefined : hip.value.ttl;
  let ttl = none ? Math.min(hip.value.ttl, own.value.ttl) : own.value.ttl;
  let badRecords = 0;
  let rendezvousLeft = MAX_RENDEZVOUS;
  const keys: DnsKey[] = [];
  for (const rdata of hip.value.rdata.slice(0, MAX_RECORDS)) {
    const record = decodeHipRecord(rdata);
    const identity = record.ok ? identityOfRecord(record.value) : record;
    if (!record.ok || !identity.ok || toHex(record.value.hit) !== identity.value.hit) {
      badRecords++;
      continue;
    }
    const rendezvous: string[] = [];
    for (const server of record.value.rendezvous) {
      // RFC 8005 4.1: the owner itself may stand there; its addresses are known.
      if (server.toLowerCase() === name.toLowerCase() || !isDomainName(server)) continue;
      if (rendezvousLeft-- <= 0) break;
      const found = await addressesOf(client, server);
      if (!found.ok) continue;
      rendezvous.push(...found.value.addresses);
      ttl = Math.min(ttl, found.value.ttl);
    }
    keys.push({ hit: identity.value.hit, rendezvous });
  }
  return ok({ facts: { name, validated, keys, addresses: own.value.addresses }, ttl, recordTtl, badRecords });
}

/** Of both families; one alone is enough. */
async function addressesOf(
  client: Pick<DnsClient, "ask">,
  name: string,
): Promise<Result<{ readonly addresses: readonly string[]; readonly ttl: number }, string>> {
  const [v4, v6] = await Promise.all([client.ask(name, "A"), client.ask(name, "AAAA")]);
  const good = [v6, v4].flatMap((one): readonly DnsReply[] => (one.ok ? [one.value] : []));
  if (good.length === 0) return err(v4.ok ? "" : v4.error);
  return ok({
    addresses: good.flatMap(({ addresses }) => addresses),
    ttl: Math.min(...good.map(({ ttl }) => ttl)),
  });
}
