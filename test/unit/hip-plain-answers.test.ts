/** A peer, written from the RFCs alone, that acknowledges a question and answers it apart, or never (RFC 8046 5.4). */
import { describe, expect, test } from "vitest";
import type { Instant } from "../../src/core/types.ts";
import { mobilityAfterExchange } from "../../src/hip/mobility-state.ts";
import { acknowledgedAlone } from "../../src/hip/questions.ts";
import type { Open } from "../../src/hip/states.ts";
import { NO_UPDATES, type Outstanding } from "../../src/hip/update-state.ts";
import { LOCATOR_SET, own, plainSet, type Sent, Story, typesOf } from "../support/plain-mobile.ts";
import { field, find, P, tlv } from "../support/plain-peer.ts";

const { u32 } = field;
const OLD = "192.0.2.9";
const NEW = "203.0.113.77";

const idOf = (sent: Sent): number => find(sent.parsed, P.seq).contents.readUInt32BE();
const nonceOf = (sent: Sent): Buffer => find(sent.parsed, P.echoRequestSigned).contents;
const asks = (sent: Sent): boolean => typesOf(sent).includes(P.echoRequestSigned);

function acknowledge(story: Story, question: Sent, from: string): readonly Sent[] {
  return story.deliver(story.say(tlv(P.ack, u32(idOf(question)))), from);
}

/** The peer moved, and the question to its new address came there. */
function asked(): { readonly story: Story; readonly question: Sent } {
  const story = new Story("none");
  const [question] = story.update(NEW, story.info, plainSet(story.session.ownSpi, { address: NEW })) as [
    Sent,
  ];
  return { story, question };
}

/** What is sent in the next `seconds`. */
function later(story: Story, seconds: number): readonly Sent[] {
  const before = story.bench.outputs.length;
  for (let i = 0; i < seconds * 10; i++) story.pass(100);
  return story.sentSince(before);
}

describe("a question that is acknowledged without its echo", () => {
  test("is not repeated, and asked again in an UPDATE of its own (RFC 7401 6.12.2 step 4)", () => {
    const { story, question } = asked();
    expect(acknowledge(story, question, NEW)).toEqual([]);
    const again = later(story, 5).filter(asks);
    expect(again.length).toBeGreaterThan(0);
    expect(again.map(idOf)).not.toContain(idOf(question));
    expect(again.map(({ path }) => path.remote.address)).toEqual(again.map(() => NEW));
    story.echo(again[0] as Sent, NEW);
    expect(story.locators[NEW]).toBe("ACTIVE");
    expect(later(story, 60).filter(asks)).toEqual([]);
  });

  test("is answered when the echo comes in an UPDATE of the peer's own", () => {
    const { story, question } = asked();
    acknowledge(story, question, NEW);
    expect(story.locators[NEW]).toBe("UNVERIFIED");
    story.update(NEW, tlv(P.echoResponseSigned, nonceOf(question)));
    expect(story.locators[NEW]).toBe("ACTIVE");
    expect(later(story, 60).filter(asks)).toEqual([]);
  });

  test("comes to an end when every one is acknowledged and none is answered, and may be asked again", () => {
    const story = new Story("none");
    const set = plainSet(story.session.ownSpi, { address: OLD }, { address: NEW });
    const toNew = (sent: readonly Sent[]): readonly Sent[] =>
      sent.filter((one) => asks(one) && one.path.remote.address === NEW);
    let open = toNew(story.update(OLD, story.info, set));
    const acknowledged = new Set<number>();
    for (let second = 0; second < 300; second++) {
      expect(open.filter((one) => acknowledged.has(idOf(one)))).toEqual([]);
      for (const one of open) {
        acknowledge(story, one, OLD);
        acknowledged.add(idOf(one));
      }
      open = toNew(later(story, 1));
    }
    expect(story.bench.state).toBe("ESTABLISHED");
    expect(story.locators).toEqual({ [OLD]: "ACTIVE", [NEW]: "UNVERIFIED" });
    // Five UPDATEs with back-off, and then nothing until the path is worth another check.
    expect(acknowledged.size).toBeGreaterThan(5);
    expect(acknowledged.size).toBeLessThan(25);
  });

  test("an ACK counts once", () => {
    const { story, question } = asked();
    acknowledge(story, question, NEW);
    acknowledge(story, question, NEW);
    expect(story.bench.drops()).toEqual(["ack_unexpected"]);
  });
});

describe("our LOCATOR_SET that is acknowledged without an echo", () => {
  test("has been heard: along the path in use nothing else was asked", () => {
    const story = new Story("none");
    const here = story.bench.path().local.address;
    const before = story.bench.outputs.length;
    story.bench.input({ type: "locators", own: [here, "2001:db8::2"].map(own) });
    const [news] = story.sentSince(before) as [Sent];
    expect(typesOf(news)).toContain(LOCATOR_SET);
    acknowledge(story, news, OLD);
    expect(later(story, 120)).toEqual([]);
    expect(story.bench.state).toBe("ESTABLISHED");
  });

  test("is not the newest when the peer answers what was asked with the former one", () => {
    const story = new Story("none");
    const here = story.bench.path().local.address;
    const tell = (...addresses: readonly string[]): Sent => {
      const before = story.bench.outputs.length;
      story.bench.input({ type: "locators", own: [here, ...addresses].map(own) });
      return story.sentSince(before)[0] as Sent;
    };
    const former = tell("2001:db8::2");
    const newest = tell("2001:db8::2", "2001:db8::3");
    expect([former, newest].map((one) => find(one.parsed, LOCATOR_SET).contents.length / 28)).toEqual([2, 3]);
    expect(idOf(newest)).not.toBe(idOf(former));
    story.deliver(story.say(tlv(P.seq, u32(0)), tlv(P.echoResponseSigned, nonceOf(former))), OLD);
    const again = later(story, 3).filter(asks);
    expect(again.length).toBeGreaterThan(0);
    expect(new Set(again.map(idOf))).toEqual(new Set([idOf(newest)]));
    story.echo(newest, OLD);
    expect(later(story, 60)).toEqual([]);
  });

  test("but an address that we turned to must answer", () => {
    const story = new Story("none");
    const before = story.bench.outputs.length;
    story.bench.input({ type: "locators", own: [own("198.51.100.2")] });
    const [news] = story.sentSince(before) as [Sent];
    acknowledge(story, news, OLD);
    const [again] = later(story, 3).filter(asks) as [Sent];
    expect(nonceOf(again)).toEqual(nonceOf(news));
    story.echo(again, OLD);
    const told = story.bench.outputs.filter((one) => one.type === "event" && one.name === "handover");
    expect(told).toHaveLength(1);
  });

  test("is not told a place that only a packet's source names", () => {
    const story = new Story("none");
    const here = story.bench.path().local.address;
    const tell = (...addresses: readonly string[]): void =>
      story.bench.input({ type: "locators", own: [here, ...addresses].map(own) });
    // The turns of this moment are used up by changes to and fro: the last of them is still to be told.
    for (let i = 0; i < 40; i++) tell(...(i % 2 === 0 ? ["2001:db8::2"] : []));
    tell("2001:db8::2", "2001:db8::3");
    const [question] = story.update(NEW, story.info, plainSet(story.session.ownSpi, { address: OLD })) as [
      Sent,
    ];
    expect(question.path.remote.address).toBe(NEW);
    expect(typesOf(question)).toEqual(expect.arrayContaining([P.ack, P.echoRequestSigned]));
    expect(typesOf(question)).not.toContain(LOCATOR_SET);
    const news = later(story, 5).filter((one) => typesOf(one).includes(LOCATOR_SET));
    expect(new Set(news.map(({ path }) => path.remote.address))).toEqual(new Set([OLD]));
    expect(find((news.at(-1) as Sent).parsed, LOCATOR_SET).contents.length).toBe(3 * 28);
  });

  test("is waited for in no other question, either", () => {
    const path = new Story("none").bench.path();
    const elsewhere = { ...path, remote: { address: NEW, port: 0 } };
    const mobility = mobilityAfterExchange(path, 0 as Instant);
    const check = { path: elsewhere, nonce: new Uint8Array(16), startedAt: 0, use: undefined, told: true };
    const checks = [1, 2].map((updateId) => ({ ...check, updateId }));
    const session = { path, updates: NO_UPDATES, mobility: { ...mobility, checks } };
    const one = { id: 1, acknowledged: false } as Outstanding;
    const next = acknowledgedAlone({ name: "ESTABLISHED", session } as unknown as Open, [one], undefined);
    expect(next.session.mobility.checks.map(({ told }) => told)).toEqual([false, false]);
    expect(next.session.updates.outstanding).toEqual([{ ...one, acknowledged: true }]);
  });
});
