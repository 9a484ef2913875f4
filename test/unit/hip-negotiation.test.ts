import { describe, expect, test } from "vitest";
import { utf8 } from "../../src/core/bytes.ts";
import { ESP_SUITES } from "../../src/crypto/suites.ts";
import type { HostConfig } from "../../src/hip/config.ts";
import type { EspSuite } from "../../src/hip/sa.ts";
import { NOTIFY } from "../../src/wire/notification.ts";
import { get, has } from "../../src/wire/packet.ts";
import {
  DH_GROUP_LIST,
  DIFFIE_HELLMAN,
  ENCRYPTED,
  HIP_CIPHER,
  HIT_SUITE_LIST,
  HOST_ID,
  NOTIFICATION,
} from "../../src/wire/rfc7401.ts";
import { ESP_TRANSFORM } from "../../src/wire/rfc7402.ts";
import { changed, i2Of, r1Of, read } from "../support/packets.ts";
import { identity, Pair } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";

/** An exchange between two that are configured differently. */
function between(configA: Partial<HostConfig>, configB: Partial<HostConfig>): Pair {
  return new Pair({ config: { dhGroups: [7] }, configA, configB }).establish();
}

/** One that cannot succeed: runs until the Initiator gives up. */
function failing(configA: Partial<HostConfig>, configB: Partial<HostConfig>): Pair {
  const pair = new Pair({ config: { dhGroups: [7] }, configA, configB });
  pair.connect(pair.a);
  pair.run(() => pair.a.state(pair.b) === "E-FAILED", 60_000);
  return pair;
}

/** Message types of the NOTIFYs that `a` sent. */
function notified(pair: Pair): readonly (number | undefined)[] {
  const packets = pair.flights.filter(({ name, from }) => name === "NOTIFY" && from === pair.a);
  return [...new Set(packets.map(({ bytes }) => get(read(bytes), NOTIFICATION)?.messageType))];
}

describe("Diffie-Hellman group (RFC 7401 4.1.3, 5.2.6)", () => {
  test.each([7, 8, 9, 4, 3])("%i, the only one", (group) => {
    const pair = between({ dhGroups: [group] }, { dhGroups: [group] });
    expect(pair.a.host.association(pair.b.hit)?.dhGroup).toBe(group);
    expect(pair.b.host.association(pair.a.hit)?.dhGroup).toBe(group);
    expect(get(read(pair.sent(pair.a, "I2")), DIFFIE_HELLMAN)?.group).toBe(group);
    expect(unusable(pair)).toEqual([]);
  });

  test.each([
    ["the Responder's preference chooses", [7, 8], [8, 7], 8],
    ["among those that the Initiator lists", [7, 3], [8, 3, 7], 3],
    ["one in common, last in both lists", [8, 7], [3, 7], 7],
  ])("%s", (_name, ours, theirs, chosen) => {
    const pair = between({ dhGroups: ours }, { dhGroups: theirs });
    expect(pair.a.host.association(pair.b.hit)?.dhGroup).toBe(chosen);
    expect(get(read(pair.sent(pair.a, "I1")), DH_GROUP_LIST)?.groups).toEqual(ours);
    expect(get(read(pair.sent(pair.b, "R1")), DH_GROUP_LIST)?.groups).toEqual(theirs);
  });

  test("groups that the Responder does not know are passed over", () => {
    const pair = new Pair({ config: { dhGroups: [7] } });
    pair.filter = ({ name, bytes }) =>
      name !== "I1" || changed(bytes, () => [DH_GROUP_LIST.of({ groups: [0, 10, 99, 255, 7] })]);
    pair.establish();
    expect(unusable(pair)).toEqual([]);
  });

  test("none in common: any R1 comes (6.7 step 4), NO_DH_PROPOSAL_CHOSEN goes back, the exchange fails", () => {
    const pair = failing({ dhGroups: [8] }, { dhGroups: [7] });
    expect(get(read(pair.sent(pair.b, "R1")), DIFFIE_HELLMAN)?.group).toBe(7);
    expect(notified(pair)).toEqual([NOTIFY.NO_DH_PROPOSAL_CHOSEN]);
    expect(pair.count("I2")).toBe(0);
    expect(pair.a.drops("dh_groups")).toBeGreaterThan(0);
  });

  test("a tampered I1 is noticed (4.1.7): no I2, nobody is told; an I1 that comes through works", () => {
    const pair = new Pair({ config: { dhGroups: [7, 3] } });
    pair.filter = ({ name, bytes }) =>
      name !== "I1" || pair.count("I1") > 1 || changed(bytes, () => [DH_GROUP_LIST.of({ groups: [3] })]);
    pair.connect(pair.a);
    pair.run(() => pair.a.drops("dh_downgrade") === 1);
    expect(get(read(pair.sent(pair.b, "R1")), DIFFIE_HELLMAN)?.group).toBe(3);
    expect(pair.count("I2")).toBe(0);
    expect(pair.count("NOTIFY")).toBe(0);
    expect(pair.a.state(pair.b)).toBe("I1-SENT");
    pair.run(() => pair.a.state(pair.b) === "ESTABLISHED", 10_000);
    expect(pair.a.host.association(pair.b.hit)?.dhGroup).toBe(7);
  });

  test("an R1 is judged by the list of the I1 that was sent, whatever the settings are now (6.6 step 3)", () => {
    const pair = new Pair({ config: { dhGroups: [7] } });
    pair.connect(pair.a);
    pair.a.config = { ...pair.a.config, dhGroups: [8] };
    pair.take(pair.a, pair.a.host.configure(pair.a.config, pair.a.identities, pair.now));
    pair.run(() => pair.a.state(pair.b) === "ESTABLISHED", 5_000);
    expect(pair.a.host.association(pair.b.hit)?.dhGroup).toBe(7);
    expect(pair.count("I1")).toBe(1);
  });
});

describe("HIP_CIPHER (5.2.8)", () => {
  test.each([
    [[2], [2], 2],
    [[4], [4], 4],
    [[4, 2], [2, 4], 4],
    [[2, 4], [4], 4],
  ])("%j with %j: %i", (ours, theirs, chosen) => {
    const pair = between({ hipCiphers: ours }, { hipCiphers: theirs });
    for (const node of [pair.a, pair.b]) {
      expect(node.host.association(pair.other(node).hit)?.hipCipher).toBe(chosen);
    }
    expect(get(read(pair.sent(pair.a, "I2")), HIP_CIPHER)?.ids).toEqual([chosen]);
    expect(has(read(pair.sent(pair.a, "I2")), ENCRYPTED)).toBe(true);
  });

  test("none in common: NO_HIP_PROPOSAL_CHOSEN", () => {
    const pair = failing({ hipCiphers: [4] }, { hipCiphers: [2] });
    expect(notified(pair)).toEqual([NOTIFY.NO_HIP_PROPOSAL_CHOSEN]);
    expect(pair.count("I2")).toBe(0);
  });
});

describe("ESP suite (RFC 7402 5.1.2)", () => {
  test.each(ESP_SUITES)("$id: $name", ({ id, encryptionKeyLength, integrityKeyLength }) => {
    const pair = between({ espSuites: [id] }, { espSuites: [id] });
    expect(unusable(pair)).toEqual([]);
    for (const node of [pair.a, pair.b]) {
      expect(node.host.association(pair.other(node).hit)?.espSuite).toBe(id);
      for (const sa of node.sas.values()) {
        expect(sa.suite).toBe(id);
        expect(sa.encryptionKey).toHaveLength(encryptionKeyLength);
        expect(sa.integrityKey).toHaveLength(integrityKeyLength);
      }
      const [inward, out] = [node.sa("in"), node.sa("out")];
      expect([inward?.encryptionKey, inward?.integrityKey]).not.toEqual([
        out?.encryptionKey,
        out?.integrityKey,
      ]);
    }
    expect(problemsOf(pair)).toEqual([]);
  });

  test.each<[EspSuite[], EspSuite[], EspSuite]>([
    [[13, 12, 9, 8], [8, 13], 8],
    [[8, 9], [13, 12, 9, 8], 9],
  ])("%j with %j: the Responder's order decides for %i", (ours, theirs, chosen) => {
    const pair = between({ espSuites: ours }, { espSuites: theirs });
    expect(pair.a.sa("out")?.suite).toBe(chosen);
    expect(get(read(pair.sent(pair.a, "I2")), ESP_TRANSFORM)?.suites).toEqual([chosen]);
  });

  test("none in common: NO_ESP_PROPOSAL_CHOSEN (5.1.3)", () => {
    const pair = failing({ espSuites: [13] }, { espSuites: [8] });
    expect(notified(pair)).toEqual([NOTIFY.NO_ESP_PROPOSAL_CHOSEN]);
    expect(pair.count("I2")).toBe(0);
  });

  test("NULL encryption is not offered unless asked for (RFC 7402 3.3.5)", () => {
    const pair = between({}, {});
    expect(get(read(pair.sent(pair.b, "R1")), ESP_TRANSFORM)?.suites).not.toContain(7);
    expect(failing({ espSuites: [7] }, {}).count("I2")).toBe(0);
  });
});

describe("HOST_ID (RFC 7401 5.2.9)", () => {
  test.each([true, false])("in I2, encrypted: %j", (encryptHostId) => {
    const pair = between({ encryptHostId }, {});
    const i2 = read(pair.sent(pair.a, "I2"));
    expect(has(i2, ENCRYPTED)).toBe(encryptHostId);
    expect(has(i2, HOST_ID)).toBe(!encryptHostId);
    const key = Buffer.from(identity("ecdsa-p256", 0).hostIdentity);
    expect(Buffer.from(i2.bytes).includes(key.subarray(-64))).toBe(!encryptHostId);
  });

  const fqdn = Uint8Array.of(2, 0x64, 0x62, 7, ...utf8("example"), 0);
  test.each([
    ["none", { type: 0, value: new Uint8Array(0) } as const, ""],
    ["an FQDN", { type: 1, value: fqdn } as const, "db.example"],
    ["a NAI", { type: 2, value: utf8("db@example") } as const, "db@example"],
  ])("with %s as Domain Identifier, in both directions", (_name, domainIdentifier, text) => {
    for (const encryptHostId of [true, false]) {
      const pair = between({ domainIdentifier, encryptHostId }, { domainIdentifier });
      expect(pair.a.host.association(pair.b.hit)?.peerDomain).toBe(text);
      expect(pair.b.host.association(pair.a.hit)?.peerDomain).toBe(text);
      expect(get(read(pair.sent(pair.b, "R1")), HOST_ID)?.diType).toBe(domainIdentifier.type);
    }
  });
});

describe("HIT suite (6.8 step 6, Table 3)", () => {
  const ecdsa = identity("ecdsa-p256", 0);
  const rsa = identity("rsa-2048", 7);

  /** a has two identities and shows the ECDSA one, b verifies RSA only. */
  function mixed(): Pair {
    const pair = new Pair({
      a: [ecdsa, rsa],
      config: { dhGroups: [7] },
      configB: { hitSuites: [1] },
    });
    const policy = pair.b.find(ecdsa.hit);
    if (policy !== undefined) pair.b.peers.set(rsa.hit, { ...policy, hit: rsa.hit });
    return pair;
  }

  test("another identity takes over when the peer does not support the first one's suite", () => {
    const pair = mixed();
    pair.establish();
    const view = pair.a.host.association(pair.b.hit);
    expect(view?.local).toBe(rsa.hit);
    expect(pair.flights.filter(({ name }) => name === "I1").map(({ bytes }) => read(bytes).sender)).toEqual([
      ecdsa.hit,
      rsa.hit,
    ]);
    expect(pair.b.host.association(rsa.hit)?.state).toBe("R2-SENT");
    expect(pair.a.host.associations()).toHaveLength(1);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("the one that is left does not get in the way of the one that follows, however slow its jobs are", () => {
    const pair = mixed();
    pair.a.holdJobs = ["seal"];
    pair.connect(pair.a);
    pair.run(() => pair.count("I1") === 2, 5_000);
    expect(pair.a.host.association(pair.b.hit)?.local).toBe(rsa.hit);
    pair.releaseJobs(pair.a);
    expect(pair.a.host.association(pair.b.hit)?.local).toBe(rsa.hit);
    // Somebody else who wants to send does not begin a third one.
    pair.connect(pair.a);
    expect(pair.count("I1")).toBe(2);
    pair.run(() => pair.a.state(pair.b) === "ESTABLISHED", 5_000);
    expect(pair.a.host.associations()).toHaveLength(1);
  });

  test("without another identity: UNSUPPORTED_HIT_SUITE, and the exchange fails", () => {
    const pair = failing({}, { hitSuites: [1, 5] });
    expect(notified(pair)).toEqual([NOTIFY.UNSUPPORTED_HIT_SUITE]);
    expect(get(read(pair.sent(pair.b, "R1")), HIT_SUITE_LIST)?.suites).toEqual([1, 5]);
    expect(pair.count("I2")).toBe(0);
  });

  test("an identity of a suite that the peer does not support either is not tried", () => {
    const pair = new Pair({
      a: [ecdsa, rsa],
      config: { dhGroups: [7] },
      configB: { hitSuites: [5] },
    });
    pair.connect(pair.a);
    pair.run(() => pair.a.state(pair.b) === "E-FAILED", 60_000);
    const senders = pair.flights.filter(({ name }) => name === "I1").map(({ bytes }) => read(bytes).sender);
    expect(new Set(senders)).toEqual(new Set([ecdsa.hit]));
  });

  test("an I2 of a suite that is not supported is dropped silently (6.9 step 3)", () => {
    const pair = new Pair({ config: { dhGroups: [7] } });
    const i2 = i2Of(pair.a, r1Of(pair, pair.b, pair.a));
    pair.b.config = { ...pair.b.config, hitSuites: [1] };
    pair.take(pair.b, pair.b.host.configure(pair.b.config, pair.b.identities, pair.now));
    pair.deliver(pair.b, i2);
    expect(pair.b.drops("hit_suite")).toBe(1);
    expect(pair.flights).toEqual([]);
  });
});
