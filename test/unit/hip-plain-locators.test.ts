/** What a LOCATOR_SET does to the locators that are known, asked by a second implementation (RFC 8046 4, 5; RFC 8047 5.2). */
import { describe, expect, test } from "vitest";
import {
  LOCATOR_SET,
  MAPPED_PREFIX,
  plainSet,
  type Sent,
  Story,
  theirs,
  typesOf,
  v4,
} from "../support/plain-mobile.ts";
import { field, find, P, TYPE, tlv } from "../support/plain-peer.ts";

const { u16, u32 } = field;
const OLD = "192.0.2.9";
const NEW = "203.0.113.77";
const OTHER = "203.0.113.78";
const NEW_SPI = 0x11223344;

/** One locator of any kind of traffic, type 1. */
const locator = (trafficType: number, preferred: boolean, spi: number, address: string): Buffer =>
  Buffer.concat([
    Buffer.of(trafficType, 1, 5, preferred ? 1 : 0),
    u32(0xffff_ffff),
    u32(spi),
    MAPPED_PREFIX,
    v4(address),
  ]);

describe("rekeying and moving in one UPDATE (RFC 8046 3.2.2)", () => {
  function movedWithNewKeys(): { readonly story: Story; readonly sent: readonly Sent[] } {
    const story = new Story("none");
    const { ownSpi, keys } = story.session;
    const info = tlv(P.espInfo, u16(0), u16(keys.end), u32(ownSpi), u32(NEW_SPI));
    const sent = story.update(NEW, info, plainSet(NEW_SPI, { address: NEW, preferred: true }));
    return { story, sent };
  }

  test("the new SA carries data on credit until the new address answers (5.6)", () => {
    const { story, sent } = movedWithNewKeys();
    const { outputs } = story.bench;
    const added = outputs.findIndex(
      (one) => one.type === "sa-add" && one.sa.direction === "out" && one.sa.spi === NEW_SPI,
    );
    const told = outputs.slice(added).find((one) => one.type === "sa-path" && one.spi === NEW_SPI);
    expect(added).not.toBe(-1);
    expect(told).toMatchObject({ verified: false, path: { remote: { address: NEW } } });
    const [half] = sent.filter((one) => typesOf(one).includes(P.ack)) as [Sent];
    story.deliver(story.say(tlv(P.ack, find(half.parsed, P.seq).contents)), NEW);
    expect(outputs).toContainEqual({ type: "route", peer: theirs.hit.toString("hex"), via: NEW_SPI });
    expect(story.told.at(-1)).toBe(`${NEW} on credit`);
  });

  test("the new address is asked, and its answer verifies it", () => {
    const { story, sent } = movedWithNewKeys();
    expect(sent.every(({ path }) => path.remote.address === NEW)).toBe(true);
    const question = sent.find((one) => typesOf(one).includes(P.echoRequestSigned));
    expect(question).toBeDefined();
    expect(story.locators).toEqual({ [NEW]: "UNVERIFIED", [OLD]: "DEPRECATED" });
    story.echo(question as Sent, NEW);
    expect(story.locators[NEW]).toBe("ACTIVE");
    expect(story.told.at(-1)).toBe(NEW);
  });
});

describe("a LOCATOR_SET replaces what was known", () => {
  test("an empty one deprecates every address, also as the first (RFC 8046 4)", () => {
    const story = new Story("none");
    story.update(OLD, story.info, plainSet(story.session.ownSpi));
    expect(story.locators).toEqual({ [OLD]: "DEPRECATED" });
    // Nothing else is left: the association goes on where it is.
    expect(story.told).toEqual([]);
    const again = story.update(OLD, story.info, plainSet(story.session.ownSpi, { address: OLD }));
    // DEPRECATED to UNVERIFIED, never to ACTIVE without an answer (5.1).
    expect(story.locators).toEqual({ [OLD]: "UNVERIFIED" });
    expect(story.told).toEqual([`${OLD} on credit`]);
    story.echo(again.find((one) => typesOf(one).includes(P.echoRequestSigned)) as Sent, OLD);
    expect(story.told).toEqual([`${OLD} on credit`, OLD]);
  });

  test("the address in use is asked anew wherever the packet that lists it again came from", () => {
    const story = new Story("none");
    story.update(OLD, story.info, plainSet(story.session.ownSpi));
    const set = plainSet(story.session.ownSpi, { address: OLD }, { address: NEW });
    const sent = story.update(NEW, story.info, set);
    const asked = sent.filter((one) => typesOf(one).includes(P.echoRequestSigned));
    expect(asked.map(({ path }) => path.remote.address).toSorted()).toEqual([OLD, NEW]);
  });

  test("while the new address is asked, one of another family that is verified carries the data (5.5)", () => {
    const story = new Story("none");
    const { ownSpi } = story.session;
    const v6 = "20010db8000000000000000000000009";
    const at = (address: string) => ({ address, port: 0, kind: "host", local: true }) as const;
    const own = ["198.51.100.1", "2001:db8::2"].map((one) => ({
      ...at(one),
      preference: 20_000,
      lifetime: undefined,
    }));
    story.update(OLD, story.info, plainSet(ownSpi, { address: OLD }, { address: v6 }));
    const before = story.bench.outputs.length;
    story.bench.input({ type: "locators", own });
    const asked = story.sentSince(before).find(({ path }) => path.remote.address === "2001:db8::9");
    story.echo(asked as Sent, "2001:db8::9");
    expect(story.locators).toEqual({ [OLD]: "ACTIVE", "2001:db8::9": "ACTIVE" });
    story.update(NEW, story.info, plainSet(ownSpi, { address: NEW, preferred: true }, { address: v6 }));
    expect(story.told).toEqual(["2001:db8::9"]);
  });

  test("sixteen others leave no place for the address in use: data follows (5.3)", () => {
    const story = new Story("none");
    const many = Array.from({ length: 16 }, (_, at) => ({ address: `203.0.113.${at + 1}` }));
    story.update("203.0.113.1", story.info, plainSet(story.session.ownSpi, ...many));
    expect(Object.keys(story.locators)).not.toContain(OLD);
    expect(story.told).toEqual(["203.0.113.1 on credit"]);
  });

  test("the same set in a later UPDATE makes its lifetimes begin anew (5.3)", () => {
    const story = new Story("none");
    const set = plainSet(story.session.ownSpi, { address: OLD, lifetime: 100 });
    story.update(OLD, story.info, set);
    story.pass(80_000);
    story.update(OLD, story.info, set);
    story.pass(80_000);
    expect(story.locators).toEqual({ [OLD]: "ACTIVE" });
    story.pass(80_000);
    expect(story.locators).toEqual({ [OLD]: "DEPRECATED" });
    story.update(OLD, story.info, set);
    expect(story.locators).toEqual({ [OLD]: "UNVERIFIED" });
  });

  test("a lifetime of zero is none: such a locator is left out (4)", () => {
    const story = new Story("none");
    story.update(
      OLD,
      story.info,
      plainSet(story.session.ownSpi, { address: OLD }, { address: NEW, lifetime: 0 }),
    );
    expect(story.locators).toEqual({ [OLD]: "ACTIVE" });
  });

  test("an address is one locator, however often it is listed", () => {
    const story = new Story("none");
    const { ownSpi } = story.session;
    const twice = [locator(0, false, ownSpi, NEW), locator(0, true, NEW_SPI, NEW)];
    story.update(OLD, story.info, tlv(LOCATOR_SET, locator(0, false, ownSpi, OLD), ...twice));
    const known = story.bench.host.peerLocators(theirs.hit.toString("hex") as never);
    expect(known.map(({ endpoint, preferred }) => [endpoint.address, preferred])).toEqual([
      [NEW, true],
      [OLD, false],
    ]);
  });

  test("what is preferred for data comes before what is preferred for both (4.1)", () => {
    const story = new Story("none");
    const { ownSpi } = story.session;
    const set = [
      locator(0, true, ownSpi, NEW),
      locator(2, true, ownSpi, OTHER),
      locator(1, true, ownSpi, OLD),
    ];
    story.update(OLD, story.info, tlv(LOCATOR_SET, ...set));
    const known = story.bench.host.peerLocators(theirs.hit.toString("hex") as never);
    expect(known.filter(({ preferred }) => preferred).map(({ endpoint }) => endpoint.address)).toEqual([
      OTHER,
      NEW,
    ]);
  });
});

describe("an UPDATE with HOST_ID (RFC 8046 4.3)", () => {
  test("is taken when it is the peer's", () => {
    const story = new Story("none");
    const sent = story.update(
      OLD,
      story.info,
      theirs.hostId(),
      plainSet(story.session.ownSpi, { address: OLD }),
    );
    expect(sent.map(({ parsed }) => parsed.type)).toEqual([TYPE.UPDATE]);
    expect(story.bench.drops()).toEqual([]);
  });

  test.each(["in the clear", "inside ENCRYPTED"])("and not when it is another's, %s", (how) => {
    const story = new Story("none");
    const wrong = theirs.hostId();
    wrong[20] = (wrong[20] as number) ^ 1;
    const host = how === "in the clear" ? wrong : story.hidden(wrong);
    const sent = story.update(OLD, story.info, host, plainSet(story.session.ownSpi, { address: NEW }));
    expect(sent).toEqual([]);
    expect(story.bench.drops()).toEqual(["host_id_mismatch"]);
    expect(story.locators).toEqual({ [OLD]: "ACTIVE" });
  });
});

describe("a LOCATOR_SET in R2 (RFC 8047 5.2)", () => {
  test.each(["in the clear", "inside ENCRYPTED"])("is taken, %s, and what is new is asked", (how) => {
    const set = plainSet(0x0bad_cafe, { address: OLD, preferred: true }, { address: NEW });
    const extraInR2 = (hide: (one: Buffer) => Buffer): readonly Buffer[] => [
      how === "in the clear" ? set : hide(set),
    ];
    const story = new Story("none", { extraInR2 });
    expect(story.bench.state).toBe("ESTABLISHED");
    expect(story.locators).toEqual({ [OLD]: "ACTIVE", [NEW]: "UNVERIFIED" });
    const last = story.bench.outputs.findLast((one) => one.type === "send");
    expect(last?.type === "send" ? last.path.remote.address : "").toBe(NEW);
  });

  test("an ENCRYPTED that does not decrypt is no R2", () => {
    const torn = (): readonly Buffer[] => [tlv(P.encrypted, u32(0), Buffer.alloc(16 + 15))];
    expect(() => new Story("none", { extraInR2: torn })).not.toThrow();
    const story = new Story("none", { extraInR2: torn });
    expect(story.bench.state).toBe("I2-SENT");
    expect(story.bench.drops()).toEqual(["decryption"]);
  });
});

test("when one more SA is asked for, its locators are taken and the one that there is goes on (RFC 8046 5.3)", () => {
  const story = new Story("none");
  const added = (): number => story.bench.outputs.filter(({ type }) => type === "sa-add").length;
  const before = added();
  const info = tlv(P.espInfo, u16(0), u16(0), u32(0), u32(NEW_SPI));
  const set = plainSet(story.session.ownSpi, { address: OLD, preferred: true }, { address: NEW });
  const sent = story.update(OLD, info, set);
  expect(typesOf(sent[0] as Sent)).toContain(P.ack);
  expect(sent.map(({ path }) => path.remote.address)).toEqual([OLD, NEW]);
  expect(story.locators).toMatchObject({ [OLD]: "ACTIVE", [NEW]: "UNVERIFIED" });
  expect(added()).toBe(before);
});
