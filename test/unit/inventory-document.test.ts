/** Inventories as text: what is written is read again, and nothing else is. */
import { describe, expect, test } from "vitest";
import { formatHit } from "../../src/core/ip.ts";
import { Identity, type KeyKind } from "../../src/crypto/identity.ts";
import {
  inventoryOf,
  inventoryText,
  type Member,
  readInventory,
  signedBytes,
} from "../../src/runtime/inventory/document.ts";

const CREATED = Date.parse("2026-01-02T03:04:05.006Z");
const operator = Identity.generate("ed25519");
const web = Identity.generate("ecdsa-p256");
const db = Identity.generate("ecdsa-p384");

function member(name: string, identity: Identity, ...addresses: string[]): Member {
  return {
    name,
    identity: identity.publicOnly(),
    locators: addresses.map((address) => ({ address, port: 10500 })),
  };
}

const MEMBERS = [member("web1", web, "192.0.2.1", "2001:db8::1"), member("db1", db, "192.0.2.2")];
const inventory = inventoryOf(CREATED, undefined, MEMBERS);
const good = inventoryText(inventory, [operator]);

function problemsOf(text: string): readonly string[] {
  const read = readInventory(text);
  return read.ok ? [] : read.error;
}

/** The file with something else in it, and signatures that fit. */
function altered(change: (value: Record<string, never>) => void): string {
  const value = JSON.parse(good) as Record<string, never>;
  change(value);
  return `${JSON.stringify(value, null, 2)}\n`;
}

test("what is written is read again, in the order of names", () => {
  const read = readInventory(good);
  if (!read.ok) throw new Error(read.error.join("\n"));
  expect(read.value.members.map(({ name }) => name)).toEqual(["db1", "web1"]);
  expect(read.value.members[1]?.identity.hit).toBe(web.hit);
  expect(read.value.members[1]?.locators).toEqual(MEMBERS[0]?.locators);
  expect(read.value.signers.map(({ hit }) => hit)).toEqual([operator.hit]);
  expect(read.value.created).toBe(CREATED);
  expect(read.value.expires).toBeUndefined();
});

test.each<KeyKind>(["ecdsa-p256", "ecdsa-p384", "rsa-2048", "ed25519"])(
  "%s keys sign, also beside others",
  (kind) => {
    const key = Identity.generate(kind);
    const own = inventoryOf(CREATED, CREATED + 1, [member("a", key)]);
    const read = readInventory(inventoryText(own, [key, operator]));
    expect(read.ok && read.value.signers.map(({ hit }) => hit)).toEqual([key.hit, operator.hit]);
    expect(read.ok && read.value.expires).toBe(CREATED + 1);
  },
);

test("the signature covers a domain that stands in no other of our formats", () => {
  expect(new TextDecoder().decode(signedBytes(inventory).subarray(0, 18))).toBe("hipd inventory v1\0");
  const bare = new TextEncoder().encode(new TextDecoder().decode(signedBytes(inventory)).slice(18));
  const forged = altered((value) => {
    const [first = {}] = value["signatures"] as unknown as readonly object[];
    Object.assign(first, {
      signature: Buffer.from(operator.sign(bare)).toString("base64"),
    });
  });
  expect(problemsOf(forged)).toEqual([
    `signatures[0]: is not the signature of ${formatHit(operator.hit)} over this inventory`,
  ]);
});

describe("says exactly what is wrong", () => {
  const at = (path: string, value: unknown) =>
    altered((whole) => {
      const steps = path.split(".");
      let target: Record<string, never> = whole;
      for (const step of steps.slice(0, -1)) target = target[step] as never;
      if (value === undefined) delete target[steps.at(-1) as string];
      else target[steps.at(-1) as string] = value as never;
    });
  test.each<[string, string, string | RegExp]>([
    ["no JSON", "[", /^not valid JSON: /],
    ["no object", "[]\n", "the file: is not an object"],
    ["another format", at("format", "x"), 'format is "x", not "hipd-inventory"'],
    ["a newer version", at("version", 2), "version is 2; this hipctl knows version 1 only"],
    ["an unknown key", at("extra", 1), 'the file: unknown key "extra"'],
    ["a missing key", at("expires", undefined), "the file: expires is missing"],
    ["a time that is none", at("created", "today"), /^created: "today" is not a time like /],
    ["an end before the begin", at("expires", "2025-01-01T00:00:00.000Z"), "expires: is not after created"],
    ["no members", at("members", []), "members: is empty"],
    ["no signature", at("signatures", []), "signatures: is empty"],
    ["a bad name", at("members.1.name", "Web1"), 'members[1].name: "Web1" is not a name; write "web1"'],
    ["names out of order", at("members.0.name", "zz"), /"web1" stands behind "zz"/],
    ["a name twice", at("members.0.name", "web1"), 'members: the name "web1" stands twice'],
    [
      "a HIT of another key",
      at("members.0.hit", formatHit(web.hit)),
      /^members\[0\]: the host identity has the HIT /,
    ],
    [
      "a key that is none",
      at("members.0.hostIdentity", "AAAA"),
      /^members\[0\]\.hostIdentity: ECDSA: curve 0 is not supported/,
    ],
    ["base64 that is none", at("signatures.0.signature", "?"), 'signatures[0].signature: "?" is not base64'],
    [
      "a locator that is a HIT",
      at("members.0.locators", [formatHit(web.hit)]),
      /^members\[0\]\.locators\[0\]: .* is a HIT/,
    ],
    [
      "another locator",
      at("members.0.locators.0", "192.0.2.3:10500"),
      /^signatures\[0\]: is not the signature of /,
    ],
    [
      "a locator in another form",
      at("members.0.locators.0", "[192.0.2.2]:10500"),
      /^members\[0\]\.locators\[0\]/,
    ],
  ])("%s", (_name, text, expected) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(expected);
  });

  test("blanks, another order of keys and a key twice", () => {
    expect(problemsOf(` ${good}`)[0]).toMatch(
      /^line 1 is not in the form that hipctl writes: " \{" in place of "\{"/,
    );
    expect(problemsOf(good.trimEnd())[0]).toMatch(/is not in the form/);
    expect(problemsOf(good.replace('"version": 1,', '"version": 1,\n  "version": 1,'))[0]).toMatch(
      /^line 4 /,
    );
    const { signatures, ...rest } = JSON.parse(good);
    expect(problemsOf(`${JSON.stringify({ signatures, ...rest }, null, 2)}\n`)[0]).toMatch(/^line 2 /);
  });

  test("one wrong signature beside a good one", () => {
    const two = JSON.parse(inventoryText(inventory, [operator, web]));
    two.signatures[1].signature = two.signatures[1].signature.replace(/^./, (c: string) =>
      c === "A" ? "B" : "A",
    );
    expect(problemsOf(`${JSON.stringify(two, null, 2)}\n`)).toEqual([
      `signatures[1]: is not the signature of ${formatHit(web.hit)} over this inventory`,
    ]);
  });

  test("nothing of a hostile file reaches the terminal as it is", () => {
    const text = altered((value) => Object.assign(value, { "\u001b[2J\u009b2J\u202e": "\u001b]0;x\u0007" }));
    expect(problemsOf(text).join()).not.toMatch(/[^\x20-\x7e]/);
  });
});
