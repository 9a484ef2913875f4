/** hipctl image clean: what a daemon leaves on a disk, and what is left of it afterwards. */
import { existsSync, lchownSync, linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { Identity } from "../../src/crypto/identity.ts";
import type { Daemon } from "../../src/runtime/daemon.ts";
import { removeLeftovers } from "../../src/runtime/image-clean.ts";
import { hipctl } from "../support/cli.ts";
import { PLACES, startDaemon } from "../support/machine.ts";
import { FakeNetwork, temporaryFolder, write } from "../support/runtime.ts";

let folder = "";
let daemon: Daemon | undefined;

async function start(): Promise<void> {
  const places = ["smbios", "cloud", "machine"].map((name) =>
    write(folder, name, `${name}-of-this-machine\n`),
  );
  const [smbios = "", cloud = "", machine = ""] = places;
  daemon = await startDaemon(join(folder, "hipd.toml"), new FakeNetwork("192.0.2.1"), {
    instance: { smbios, cloud: [cloud], machine },
  });
}

async function stop(): Promise<void> {
  await daemon?.stop();
  daemon = undefined;
}

const ctl = (...argv: string[]) => hipctl(["--socket", join(folder, "hipd.sock"), ...argv]);
const clean = (...argv: string[]) =>
  hipctl(["image", "clean", "--config", join(folder, "hipd.toml"), ...argv]);

beforeEach(async () => {
  await stop();
  folder = temporaryFolder();
  write(folder, "hipd.toml", `${PLACES}[identity]\nextra = ["more/second.pem"]\n`);
  mkdirSync(join(folder, "more"));
  write(join(folder, "more"), "second.pem", Identity.generate("ed25519").toPkcs8Pem(), 0o600);
});
afterAll(stop);

test("after it nothing of a daemon is left but configuration and peers, and the list says so", async () => {
  await start();
  expect((await ctl("identity", "new", "third")).status).toBe(0);
  expect((await ctl("identity", "use", "third")).status).toBe(0);
  const peer = ["peer", "add", "b", "--hit", "2001:22::1", "--locator", "192.0.2.2", "--keep"];
  expect((await ctl(...peer)).status).toBe(0);
  expect((await ctl("inventory", "export", "--name", "a", "-o", join(folder, "self.json"))).status).toBe(0);
  await stop();
  write(join(folder, "state"), "identity.pem.before-20260101T000000Z", "a former key", 0o600);
  write(join(folder, "state"), ".state.json.0123456789ab.tmp", "{}");
  write(join(folder, "state"), "inventory.json", "{}");
  const there = [...readdirSync(join(folder, "state")), ...readdirSync(join(folder, "state/identities"))];
  expect(there).toEqual(
    expect.arrayContaining(["identity.pem", "state.json", "r1-counter", "instance.json", "third.pem"]),
  );

  const dry = await clean("--dry-run", "--json");
  expect(existsSync(join(folder, "state/identity.pem"))).toBe(true);
  const done = await clean("--json");
  expect(done.status, done.error).toBe(0);
  expect(readdirSync(join(folder, "state"))).toEqual([]);
  expect(readdirSync(join(folder, "more"))).toEqual([]);
  expect(readdirSync(join(folder, "peers.d"))).toEqual(["b.toml"]);
  expect(existsSync(join(folder, "self.json"))).toBe(false);
  const removed = JSON.parse(done.out).removed as { file: string }[];
  expect(removed).toHaveLength(there.length - 1 + 2);
  expect(JSON.parse(dry.out).removed).toEqual(removed);
  expect((await clean()).out).toBe("nothing to delete: no identity and no state is here\n");
  expect((await clean("--peers")).out).toMatch(/^DELETED +WHAT\n.*peers\.d\/b\.toml +peer\n/);
});

test("it refuses while hipd runs, and when --stop does not end it", async () => {
  await start();
  const before = readdirSync(join(folder, "state"));
  const refused = await clean();
  expect(refused.status).toBe(EXIT.failed);
  expect(refused.error).toMatch(
    /^hipctl: nothing was deleted: hipd answers at .*; stop it, or add --stop\n$/,
  );
  const stopped = await clean("--stop", "--unit", "hipd-test-none.service");
  expect(stopped.status).toBe(EXIT.failed);
  expect(stopped.error).toMatch(/^hipctl: nothing was deleted: /);
  expect(readdirSync(join(folder, "state"))).toEqual(before);
});

test("keys are overwritten before they are deleted", async () => {
  mkdirSync(join(folder, "state"));
  const key = write(join(folder, "state"), "identity.pem", Identity.generate("rsa-2048").toPkcs8Pem(), 0o600);
  linkSync(key, join(folder, "witness"));
  expect((await clean()).status).toBe(0);
  expect(readFileSync(join(folder, "witness"), "latin1")).toMatch(/^\0{1600,}$/);
});

test("a key that is a symbolic link is left to whoever made the link", async () => {
  mkdirSync(join(folder, "state"));
  const key = write(folder, "real.pem", Identity.generate("ed25519").toPkcs8Pem(), 0o600);
  symlinkSync(key, join(folder, "state/identity.pem"));
  const done = await clean();
  expect(done.status).toBe(EXIT.permission);
  expect(done.error).toContain("is a symbolic link");
  expect(existsSync(join(folder, "more/second.pem"))).toBe(true);
});

test("a link that takes a key's place in between is not written through", () => {
  const other = write(folder, "shadow", "root:secret\n", 0o600);
  symlinkSync(other, join(folder, "identity.pem"));
  const leftover = { file: join(folder, "identity.pem"), what: "private key", secret: true };
  expect(removeLeftovers([leftover], join(folder, "none")).problems).toHaveLength(1);
  expect(readFileSync(other, "utf8")).toBe("root:secret\n");
});

test.runIf(process.geteuid?.() === 0)(
  "root deletes nothing behind a folder's link that another user made",
  async () => {
    mkdirSync(join(folder, "state"));
    mkdirSync(join(folder, "ssl"));
    const key = write(join(folder, "ssl"), "server.pem", "key", 0o600);
    symlinkSync("../ssl", join(folder, "state/identities"));
    lchownSync(join(folder, "state/identities"), 12_345, 12_345);
    const done = await clean();
    expect(done.status).toBe(EXIT.permission);
    expect(done.error).toContain("identities: is a symbolic link that root did not make");
    expect(readFileSync(key, "utf8")).toBe("key");
  },
);

test("keys of another overlay that is configured here are told of", async () => {
  const other = write(folder, "blue.toml", '[state]\ndirectory = "blue"\n');
  write(folder, "rest.toml", "no = [toml");
  expect((await clean()).error).toBe("");
  mkdirSync(join(folder, "blue"));
  write(join(folder, "blue"), "identity.pem", Identity.generate("ed25519").toPkcs8Pem(), 0o600);
  const done = await clean();
  expect(done.status).toBe(0);
  expect(done.error).toBe(
    `hipctl: keys of another overlay are still here: hipctl image clean --config ${other}\n`,
  );
});
