/** Private keys on disk: who may read them, what is refused and why, what is never replaced. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { formatHit } from "../../src/core/ip.ts";
import { Identity } from "../../src/crypto/identity.ts";
import { writePrivateKey } from "../../src/crypto/keyfile.ts";
import { readSecret, writeAtomically } from "../../src/runtime/files.ts";
import {
  chooseIdentity,
  chosenIdentity,
  createIdentity,
  ensureMainIdentity,
  importIdentity,
  loadIdentities,
  readIdentity,
} from "../../src/runtime/identity-store.ts";
import { temporaryFolder, write } from "../support/runtime.ts";

let folder = "";
beforeEach(() => {
  folder = temporaryFolder();
});
const places = () => ({ key: join(folder, "identity.pem"), extra: [], directory: join(folder, "more") });
const errorsOf = (): readonly string[] => {
  const loaded = loadIdentities(places());
  return loaded.ok ? [] : loaded.error.map((text) => text.replaceAll(`${folder}/`, ""));
};

describe("a key file is refused", () => {
  test.each([
    [0o644, "0644"],
    [0o640, "0640"],
    [0o604, "0604"],
    [0o620, "0620"],
    [0o677, "0677"],
  ])("with mode %o", (mode, shown) => {
    ensureMainIdentity(places().key);
    chmodSync(places().key, mode);
    expect(errorsOf()).toEqual([
      `identity.pem: other users have access to this private key (mode ${shown}); run: chmod 600 identity.pem`,
    ]);
  });

  test("when it is broken, without a word of its contents", () => {
    const pem = Identity.generate("ecdsa-p256").toPkcs8Pem();
    const broken = pem.replace(/.{10}(?=\n-----END)/, "AAAAAAAAAA");
    write(folder, "identity.pem", broken.slice(0, 120), 0o600);
    const [message] = errorsOf();
    expect(message).toMatch(/^identity.pem: is not a usable private key: not /);
    expect(message).not.toContain(pem.split("\n")[1]?.slice(0, 10));
  });

  test("when it is empty, a folder, or not there", () => {
    write(folder, "identity.pem", "", 0o600);
    expect(errorsOf()[0]).toMatch(/is not a usable private key/);
    mkdirSync(join(folder, "more", "x.pem"), { recursive: true, mode: 0o700 });
    expect(errorsOf()[1]).toMatch(/x.pem: is not a regular file/);
    expect(readSecret(join(folder, "none"))).toEqual({
      ok: false,
      error: `${folder}/none: cannot be read: no such file or directory`,
    });
  });

  test("when it is the same key as another, or has the same name", async () => {
    ensureMainIdentity(places().key);
    mkdirSync(join(folder, "more"), { mode: 0o700 });
    write(join(folder, "more"), "copy.pem", readFileSync(places().key, "utf8"), 0o600);
    expect(errorsOf()).toEqual([
      "more/copy.pem: is the same key as identity.pem; remove or rename one of them",
    ]);
    await createIdentity(join(folder, "more", "identity.pem"), "ed25519");
    expect(errorsOf()[1]).toMatch(/^more\/identity.pem: is the same name "identity" as identity.pem/);
  });

  test("when others may add keys to the folder", async () => {
    await createIdentity(join(folder, "more", "x.pem"), "ed25519");
    ensureMainIdentity(places().key);
    chmodSync(join(folder, "more"), 0o777);
    expect(errorsOf()).toEqual(["more: other users may add keys to this folder; run: chmod 700 more"]);
  });
});

describe("keys are written", () => {
  test("with mode 0600 whatever the folder's habits, and nothing else is left", () => {
    ensureMainIdentity(places().key);
    expect(statSync(places().key).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(["identity.pem"]);
    expect(readFileSync(places().key, "utf8")).toMatch(/^-----BEGIN PRIVATE KEY-----/);
  });

  test("once: the first start makes one, later ones do not", () => {
    const first = ensureMainIdentity(places().key);
    const before = readFileSync(places().key, "utf8");
    expect(first.ok && first.value?.algorithm).toBe("ECDSA P-256");
    expect(ensureMainIdentity(places().key)).toEqual({ ok: true, value: undefined });
    expect(readFileSync(places().key, "utf8")).toBe(before);
  });

  test("never over another file, not even over a symbolic link to nowhere", async () => {
    write(folder, "x.pem", "precious", 0o600);
    expect((await createIdentity(join(folder, "x.pem"), "ed25519")).ok).toBe(false);
    expect(readFileSync(join(folder, "x.pem"), "utf8")).toBe("precious");
    symlinkSync(join(folder, "nowhere"), join(folder, "link.pem"));
    await createIdentity(join(folder, "link.pem"), "ed25519");
    expect(readdirSync(folder)).not.toContain("nowhere");
  });

  test("whole or not at all", () => {
    write(folder, "file", "old", 0o600);
    expect(() => writeAtomically(join(folder, "missing", "file"), "new", 0o600)).toThrow(/ENOENT/);
    writeAtomically(join(folder, "file"), "new", 0o666);
    expect(statSync(join(folder, "file")).mode & 0o777).toBe(0o666);
    expect(readFileSync(join(folder, "file"), "utf8")).toBe("new");
    expect(readdirSync(folder)).toEqual(["file"]);
  });
});

test.each(["ecdsa-p256", "ecdsa-p384", "rsa-2048", "ed25519"] as const)(
  "%s is made, stored and read back",
  async (kind) => {
    const made = await createIdentity(join(folder, "k.pem"), kind);
    if (!made.ok) throw new Error(made.error);
    const read = readIdentity(join(folder, "k.pem"));
    expect(read.ok && read.value.hit).toBe(made.value.hit);
  },
);

test.each(["pkcs8", "openssh"] as const)("imports %s", (format) => {
  const identity = Identity.generate("ed25519");
  const imported = importIdentity(join(folder, "i.pem"), Buffer.from(writePrivateKey(identity, format)));
  expect(imported.ok && formatHit(imported.value.hit)).toBe(formatHit(identity.hit));
  expect(readFileSync(join(folder, "i.pem"), "utf8")).toMatch(/^-----BEGIN PRIVATE KEY-----/);
});

test("the default identity is remembered; a damaged note is told", async () => {
  expect(chosenIdentity(places())).toEqual({ ok: true, value: undefined });
  const made = await createIdentity(join(folder, "more", "x.pem"), "ed25519");
  if (!made.ok) throw new Error(made.error);
  chooseIdentity(places(), made.value.hit);
  expect(chosenIdentity(places())).toEqual({ ok: true, value: made.value.hit });
  write(join(folder, "more"), "default", "rubbish\n");
  const damaged = chosenIdentity(places());
  expect(damaged.ok ? "" : damaged.error).toMatch(
    /more\/default: "rubbish" is not an IPv6 address; run: hipctl identity use NAME/,
  );
});
