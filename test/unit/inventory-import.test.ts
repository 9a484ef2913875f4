/** hipctl inventory: exports of hosts, an operator's signature, and what an import does to peers.d. */
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { formatHit } from "../../src/core/ip.ts";
import { Identity } from "../../src/crypto/identity.ts";
import { writeHipRecord } from "../../src/crypto/keyfile.ts";
import type { Daemon } from "../../src/runtime/daemon.ts";
import { inventoryOf, inventoryText, type Member } from "../../src/runtime/inventory/document.ts";
import { applySteps } from "../../src/runtime/inventory/import.ts";
import { type CliResult, hipctl, NOW } from "../support/cli.ts";
import { PLACES, startDaemon } from "../support/machine.ts";
import { FakeNetwork, temporaryFolder, write } from "../support/runtime.ts";

const operator = Identity.generate("ecdsa-p256");
const stranger = Identity.generate("ecdsa-p256");
const web = Identity.generate("ecdsa-p256");
const db = Identity.generate("ed25519");
const MINUTE = 60_000;

let folder = "";
let daemon: Daemon | undefined;

function member(name: string, identity: Identity, ...addresses: string[]): Member {
  return {
    name,
    identity: identity.publicOnly(),
    locators: addresses.map((address) => ({ address, port: 10500 })),
  };
}

/** A file of members, made so many minutes before now. */
function inventoryFile(
  name: string,
  members: readonly Member[],
  options: { key?: Identity; age?: number; expires?: number } = {},
): string {
  const { key = operator, age = 1, expires } = options;
  return write(folder, name, inventoryText(inventoryOf(NOW - age * MINUTE, expires, members), [key]));
}

const importing = (...argv: string[]): Promise<CliResult> =>
  hipctl(["inventory", "import", "--config", join(folder, "hipd.toml"), ...argv]);

/** Name and text of every file of peers.d. */
function peersDirectory(): Readonly<Record<string, string>> {
  const directory = join(folder, "peers.d");
  if (!existsSync(directory)) return {};
  return Object.fromEntries(
    readdirSync(directory).map((name) => [name, readFileSync(join(directory, name), "utf8")]),
  );
}

function configure(extra = ""): void {
  write(folder, "hipd.toml", PLACES + extra);
}

async function start(): Promise<Daemon> {
  daemon = await startDaemon(join(folder, "hipd.toml"), new FakeNetwork("192.0.2.9"));
  return daemon;
}

beforeEach(async () => {
  await daemon?.stop();
  daemon = undefined;
  folder = temporaryFolder();
  mkdirSync(join(folder, "trusted.d"));
  mkdirSync(join(folder, "state"), { mode: 0o700 });
  write(join(folder, "trusted.d"), "operator.pub", `operator. ${writeHipRecord(operator.publicOnly())}\n`);
  configure();
});
afterAll(() => daemon?.stop());

describe("trust", () => {
  test("an operator's key in trusted.d", async () => {
    const done = await importing(inventoryFile("f", [member("web1", web, "192.0.2.1")]));
    expect(done.error).toBe("");
    expect(done.status).toBe(0);
    expect(peersDirectory()["web1.toml"]).toContain(`hit = "${formatHit(web.hit)}"`);
    expect(peersDirectory()["web1.toml"]).toContain(`signed by ${formatHit(operator.hit)}`);
  });

  test("nobody trusted has signed: status 4, and nothing is written", async () => {
    const done = await importing(inventoryFile("f", [member("web1", web)], { key: stranger }));
    expect(done.status).toBe(4);
    expect(done.error).toContain(`signed by ${formatHit(stranger.hit)}, which is not trusted here`);
    expect(peersDirectory()).toEqual({});
    expect(existsSync(join(folder, "state/inventory.json"))).toBe(false);
  });

  test("a host that signs for itself proves that it has its key, and is not trusted for that", async () => {
    const done = await importing(inventoryFile("f", [member("web1", web)], { key: web }));
    expect(done.status).toBe(4);
    expect(peersDirectory()).toEqual({});
  });

  test("a HIT given by hand trusts that host for itself only", async () => {
    const own = inventoryFile("own", [member("web1", web)], { key: web });
    expect((await importing(own, "--trust", formatHit(web.hit))).status).toBe(0);
    const both = inventoryFile("both", [member("db1", db), member("web1", web)], { key: web });
    const done = await importing(both, "--trust", formatHit(web.hit));
    expect(done.status).toBe(4);
    expect(done.error).toContain('to speak for itself, not for "db1"');
    expect(Object.keys(peersDirectory())).toEqual(["web1.toml"]);
  });

  test.runIf(process.geteuid?.() === 0)("a key or a folder of keys of another user is refused", async () => {
    const file = inventoryFile("f", [member("web1", web)]);
    for (const path of ["trusted.d/operator.pub", "trusted.d"]) {
      chownSync(join(folder, path), 12_345, 12_345);
      const done = await importing(file);
      expect(done.status).toBe(3);
      expect(done.error).toMatch(/user 12345 may (change this key|add keys to this folder); run: chown root/);
      chownSync(join(folder, path), 0, 0);
    }
    expect((await importing(file)).status).toBe(0);
  });

  test("a host that tells where it is now stays the operator's: to be named and to be removed", async () => {
    await importing(inventoryFile("f", [member("db1", db), member("web1", web)], { age: 5 }));
    const trust = ["--trust", formatHit(web.hit)];
    const own = inventoryFile("own", [member("web1", web, "192.0.2.7")], { key: web, age: 4 });
    expect((await importing(own, ...trust)).out).toContain("change");
    const renamed = inventoryFile("bank", [member("bank", web)], { key: web, age: 3 });
    expect((await importing(renamed, ...trust)).error).toContain("which this signer did not bring");
    // What it says is as new as it is, all the same.
    const late = inventoryFile("late", [member("db1", db), member("web1", web)], { age: 4.5 });
    expect((await importing(late)).error).toContain("was brought by a newer inventory");
    const without = inventoryFile("less", [member("db1", db)], { age: 2 });
    expect((await importing(without, "--prune")).out).toContain("remove");
    expect(Object.keys(peersDirectory())).toEqual(["db1.toml"]);
  });

  test("a key file given by hand, a HIT and a file of the configuration", async () => {
    const key = write(folder, "other.pub", writeHipRecord(stranger.publicOnly()));
    const file = inventoryFile("f", [member("web1", web)], { key: stranger });
    expect((await importing(file, "--dry-run", "--trust", key)).status).toBe(0);
    configure('[inventory]\ntrusted = ["other.pub"]\n');
    expect((await importing(file, "--dry-run")).status).toBe(0);
    configure(`[inventory]\ntrusted = ["${formatHit(web.hit)}"]\n`);
    expect((await importing(file, "--dry-run")).status).toBe(4);
  });

  test("keys that others may change, and what is no key, are refused", async () => {
    const file = inventoryFile("f", [member("web1", web)]);
    chmodSync(join(folder, "trusted.d/operator.pub"), 0o666);
    expect((await importing(file)).error).toContain("other users may change this key; run: chmod go-w ");
    chmodSync(join(folder, "trusted.d/operator.pub"), 0o644);
    chmodSync(join(folder, "trusted.d"), 0o777);
    expect((await importing(file)).error).toContain("other users may add keys to this folder");
    chmodSync(join(folder, "trusted.d"), 0o755);
    write(join(folder, "trusted.d"), "x", stranger.toPkcs8Pem());
    const done = await importing(file);
    expect(done.status).toBe(3);
    expect(done.error).toContain("is a private key; its public half is needed");
  });
});

describe("time", () => {
  test("an older file of the same signer, and another one of the same time", async () => {
    expect((await importing(inventoryFile("new", [member("web1", web)], { age: 1 }))).status).toBe(0);
    const before = peersDirectory();
    const old = await importing(inventoryFile("old", [member("web1", web, "192.0.2.66")], { age: 2 }));
    expect(old.status).toBe(1);
    expect(old.error).toContain(
      "and a newer one of the same signer, made at 2025-01-02T03:03:05.000Z, was imported before",
    );
    const twin = await importing(inventoryFile("twin", [member("web2", db)], { age: 1 }));
    expect(twin.error).toContain("another inventory of the same signer and the same time");
    expect(peersDirectory()).toEqual(before);
  });

  test("an older file of another signer does not undo a newer one", async () => {
    const key = write(folder, "other.pub", writeHipRecord(stranger.publicOnly()));
    expect((await importing(inventoryFile("new", [member("web1", web, "192.0.2.1")]))).status).toBe(0);
    const old = inventoryFile("old", [member("web1", web, "192.0.2.66")], { key: stranger, age: 5 });
    const done = await importing(old, "--trust", key);
    expect(done.status).toBe(1);
    expect(done.error).toContain('"web1" was brought by a newer inventory');
    expect(peersDirectory()["web1.toml"]).toContain("192.0.2.1:10500");
  });

  test("expired files and files of the future", async () => {
    const expired = await importing(inventoryFile("f", [member("web1", web)], { expires: NOW - 1 }));
    expect(expired.error).toContain("it expired at 2025-01-02T03:04:04.999Z");
    const future = await importing(inventoryFile("g", [member("web1", web)], { age: -6 }));
    expect(future.error).toContain("check both clocks");
    expect([expired.status, future.status]).toEqual([1, 1]);
    expect((await importing(inventoryFile("h", [member("web1", web)], { age: -4 }))).status).toBe(0);
  });

  test("a damaged memory is no empty one", async () => {
    write(join(folder, "state"), "inventory.json", "{}");
    const done = await importing(inventoryFile("f", [member("web1", web)]));
    expect(done.status).toBe(1);
    expect(done.error).toContain("is damaged");
  });
});

describe("differences", () => {
  const HAND = `[[peer]]\nname = "web1"\nhit = "${formatHit(web.hit)}"\nlocators = ["192.0.2.1"]\ninbound_family = "lsi"\n`;

  test("--dry-run shows them and changes nothing; the second import has nothing to do", async () => {
    const file = inventoryFile("f", [member("web1", web, "192.0.2.1"), member("db1", db)]);
    const dry = await importing(file, "--dry-run");
    expect(dry.out).toMatch(
      /^add +db1 +2001:\S+ +no locator\nadd +web1 +2001:\S+ +192\.0\.2\.1:10500\nnothing was changed \(--dry-run\)\n$/m,
    );
    expect(peersDirectory()).toEqual({});
    expect((await importing(file)).out).toContain("done; hipd does not run");
    const before = peersDirectory();
    const again = await importing(file);
    expect(again.out).toMatch(/^same +db1 .*\nsame +web1 .*\nnothing to change\n$/m);
    expect(peersDirectory()).toEqual(before);
  });

  test("new locators change what was added by hand, and keep its other settings", async () => {
    mkdirSync(join(folder, "peers.d"));
    write(join(folder, "peers.d"), "web1.toml", HAND);
    const done = await importing(inventoryFile("f", [member("web1", web, "192.0.2.7")]));
    expect(done.out).toMatch(/^change +web1 .* 192\.0\.2\.1:10500 -> 192\.0\.2\.7:10500$/m);
    expect(peersDirectory()["web1.toml"]).toContain('inbound_family = "lsi"');
    const gone = inventoryFile("g", [member("db1", db)], { age: 0 });
    expect((await importing(gone, "--prune")).out).not.toContain("remove");
  });

  test("a peer of hipd.toml stays as it is there", async () => {
    configure(HAND);
    const done = await importing(inventoryFile("f", [member("web1", web, "192.0.2.7")]));
    expect(done.out).toMatch(/^keep +web1 .*hipd\.toml has 192\.0\.2\.1:10500$/m);
    expect(peersDirectory()).toEqual({});
  });

  test("nothing takes over a name or a HIT that somebody else configured", async () => {
    configure(HAND);
    const name = await importing(inventoryFile("f", [member("web1", db)]));
    expect(name.error).toContain(`the name "web1" belongs to ${formatHit(web.hit)}`);
    const hit = await importing(inventoryFile("g", [member("other", web)]));
    expect(hit.error).toContain(`is the peer "web1"`);
    expect([name.status, hit.status]).toEqual([1, 1]);
    expect(peersDirectory()).toEqual({});
    // The same where somebody has typed "peer add --keep".
    configure();
    mkdirSync(join(folder, "peers.d"));
    write(join(folder, "peers.d"), "web1.toml", HAND);
    const kept = await importing(inventoryFile("h", [member("web1", db)]));
    expect(kept.error).toContain(
      "which this signer did not bring; remove it first: hipctl peer remove web1 --keep",
    );
    expect(peersDirectory()).toEqual({ "web1.toml": HAND });
  });

  test("the same signer may give a name another key, or a key another name", async () => {
    await importing(inventoryFile("f", [member("web1", web, "192.0.2.1")], { age: 3 }));
    const rotated = await importing(inventoryFile("g", [member("web1", db, "192.0.2.1")], { age: 2 }));
    expect(rotated.out).toMatch(/^replace +web1 .*HIT was 2001:/m);
    expect(peersDirectory()["web1.toml"]).toContain(formatHit(db.hit));
    const renamed = await importing(inventoryFile("h", [member("web9", db, "192.0.2.1")], { age: 1 }));
    expect(renamed.out).toMatch(/^replace +web9 .*name was web1$/m);
    expect(Object.keys(peersDirectory())).toEqual(["web9.toml"]);
  });

  test("peers that are no longer listed go only with --prune, and only those of this signer", async () => {
    await importing(inventoryFile("f", [member("web1", web), member("db1", db)], { age: 3 }));
    const less = inventoryFile("g", [member("db1", db)], { age: 2 });
    await importing(less);
    expect(Object.keys(peersDirectory())).toEqual(["db1.toml", "web1.toml"]);
    const key = write(folder, "other.pub", writeHipRecord(stranger.publicOnly()));
    const foreign = inventoryFile("x", [member("x", stranger)], { key: stranger });
    expect((await importing(foreign, "--prune", "--trust", key)).out).not.toContain("remove");
    const done = await importing(less, "--prune");
    expect(done.out).toMatch(/^remove +web1 /m);
    expect(Object.keys(peersDirectory())).toEqual(["db1.toml", "x.toml"]);
  });

  test("this host itself is left out", async () => {
    write(join(folder, "state"), "identity.pem", web.toPkcs8Pem());
    chmodSync(join(folder, "state/identity.pem"), 0o600);
    const done = await importing(inventoryFile("f", [member("web1", web), member("db1", db)]));
    expect(done.out).toMatch(/^self +web1 /m);
    expect(Object.keys(peersDirectory())).toEqual(["db1.toml"]);
  });

  test("several files: a bad one spoils all, contradictions are told", async () => {
    const one = inventoryFile("one", [member("web1", web)]);
    const bad = write(folder, "bad", readFileSync(one, "utf8").replace('"web1"', '"web2"'));
    const spoilt = await importing(inventoryFile("two", [member("db1", db)], { age: 2 }), bad);
    expect(spoilt.status).toBe(1);
    expect(spoilt.error).toMatch(
      /^hipctl: nothing was changed:\nhipctl: .*bad: signatures\[0\]: is not the signature of /,
    );
    const other = inventoryFile("three", [member("web1", web, "192.0.2.5")], { age: 2 });
    expect((await importing(one, other)).error).toContain('say different things about "web1"');
    expect(peersDirectory()).toEqual({});
  });

  test("a step that fails takes those before it back", async () => {
    await importing(inventoryFile("f", [member("web1", web)], { age: 3 }));
    const before = peersDirectory();
    const directory = join(folder, "peers.d");
    const done = await applySteps(directory, [
      { kind: "remove", file: join(directory, "web1.toml") },
      { kind: "write", file: join(directory, "new.toml"), text: "" },
      { kind: "remove", file: join(directory, "none.toml") },
    ]);
    expect(!done.ok && done.error).toMatch(/none\.toml: cannot be removed: no such file or directory$/);
    expect(peersDirectory()).toEqual(before);
    const elsewhere = await applySteps(directory, [
      { kind: "write", file: join(directory, "new.toml"), text: "" },
      { kind: "write", file: join(directory, "none/x.toml"), text: "" },
    ]);
    expect(!elsewhere.ok && elsewhere.error).toMatch(
      /none\/x\.toml: cannot be written: no such file or directory$/,
    );
    expect(peersDirectory()).toEqual(before);
  });

  test("what a link points to is not taken for a peer's file", async () => {
    const directory = join(folder, "peers.d");
    mkdirSync(directory, { recursive: true });
    symlinkSync(write(folder, "shadow", "root:secret\n", 0o600), join(directory, "web1.toml"));
    const done = await applySteps(directory, [
      { kind: "write", file: join(directory, "web1.toml"), text: "x" },
    ]);
    expect(!done.ok && done.error).toContain("web1.toml: cannot be written: it is a symbolic link");
    expect(readFileSync(join(folder, "shadow"), "utf8")).toBe("root:secret\n");
  });
});

describe("with a running hipd", () => {
  const ctl = (...argv: string[]) => hipctl(["--socket", join(folder, "hipd.sock"), ...argv]);

  test("the peers are in use at once; a hipd that refuses leaves peers.d as it was", async () => {
    // Room for a handful of LSIs only.
    configure('[network]\nlsi_prefix = "198.18.0.0/28"\n');
    await start();
    const done = await importing(inventoryFile("f", [member("web1", web, "192.0.2.1")], { age: 3 }));
    expect(done.error).toBe("");
    expect(done.out).toContain("done; hipd uses it");
    expect((await ctl("peer", "show", "web1")).out).toContain("192.0.2.1");
    const before = peersDirectory();
    const many = Array.from({ length: 20 }, (_, i) => member(`m${i + 10}`, Identity.generate("ed25519")));
    const refused = await importing(inventoryFile("g", many, { age: 2 }));
    expect(refused.status).not.toBe(0);
    expect(refused.error).toMatch(/^hipctl: nothing was changed: /);
    expect(peersDirectory()).toEqual(before);
  });

  test("export says who and where this host is; sign joins; show tells", async () => {
    await start();
    await ctl("locator", "add", "203.0.113.5");
    const file = join(folder, "web1.json");
    const made = await ctl("inventory", "export", "--name", "web1", "--expires", "30d", "-o", file);
    expect(made.error).toBe("");
    const { hit } = JSON.parse((await ctl("identity", "show", "--json")).out).identity;
    const shown = JSON.parse((await ctl("inventory", "show", file, "--json")).out);
    expect(shown.signers).toEqual([hit]);
    expect(shown.expires).toBe("2025-02-01T03:04:05.000Z");
    expect(shown.members).toEqual([
      { name: "web1", hit, locators: expect.arrayContaining(["203.0.113.5:10500", "192.0.2.9:10500"]) },
    ]);
    const key = write(folder, "operator.pem", operator.toPkcs8Pem());
    chmodSync(key, 0o600);
    const fleet = join(folder, "fleet.json");
    const foreign = inventoryFile("foreign", [member("db1", db)], { key: stranger });
    const refused = await ctl("inventory", "sign", "--key", key, file, foreign, "-o", fleet);
    expect(refused.error).toContain('"db1" is signed neither by its own key nor by this operator\'s');
    const own = inventoryFile("own", [member("db1", db)], { key: db });
    expect((await ctl("inventory", "sign", "--key", key, file, own, "-o", fleet)).error).toBe("");
    const without = await ctl("inventory", "sign", "--key", key, fleet, "--without", "web1");
    expect(JSON.parse(without.out).members).toHaveLength(1);
    expect((await importing(fleet)).out).toMatch(/^add +db1 .*\n^self +web1 /m);
  });

  test("a private key that others can read signs nothing", async () => {
    const key = write(folder, "operator.pem", operator.toPkcs8Pem());
    chmodSync(key, 0o644);
    const done = await ctl("inventory", "sign", "--key", key, inventoryFile("f", [member("db1", db)]));
    expect(done.status).toBe(4);
    expect(done.error).toContain("other users have access to this private key");
  });
});
