/** Support archives: what is in them, and above all what is not. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Archive, MAX_FILE_BYTES } from "../../src/cli/bundle/archive.ts";
import { Pseudonyms } from "../../src/cli/bundle/pseudonyms.ts";
import { withoutSecrets } from "../../src/cli/bundle/secrets.ts";
import { Identity } from "../../src/crypto/identity.ts";
import type { Daemon } from "../../src/runtime/daemon.ts";
import { addressesIn, unpack } from "../support/archive.ts";
import { hipctl } from "../support/cli.ts";
import { prefix } from "../support/doctor.ts";
import { PLACES, startDaemon } from "../support/machine.ts";
import { FakeNetwork, temporaryFolder, write } from "../support/runtime.ts";

const SECRET_NAME = "db7.corp.example";
const PEER_HIT = "2001:22:aaaa:bbbb:cccc:dddd:eeee:1234";

let folder = "";
let file = "";
let daemon: Daemon;

beforeAll(async () => {
  folder = temporaryFolder();
  const peer = `[[peer]]\nname = "${SECRET_NAME}"\nhit = "${PEER_HIT}"\nlocators = ["192.0.2.77", "[2001:db8::77]:10501"]\n`;
  const pasted = Identity.generate("ed25519").toPkcs8Pem().replace(/^/gm, "# ");
  const text = `# call ops@corp.example\n${pasted}\n${PLACES}[metrics]\nlisten = "127.0.0.1:0"\n${peer}`;
  file = write(folder, "hipd.toml", text);
  daemon = await startDaemon(file, new FakeNetwork("192.0.2.1"));
});
afterAll(() => daemon.stop());

const bundle = (...options: readonly string[]) =>
  hipctl(["bundle", "--config", file, "--output", join(folder, `${options.length}.tar.gz`), ...options]);

/** The lines of every key, and the key itself in its binary forms. */
function keyMaterial(): readonly string[] {
  return readdirSync(join(folder, "state"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".pem"))
    .flatMap((name) => {
      const pem = readFileSync(join(folder, "state", name), "utf8");
      const lines = pem.split("\n").filter((line) => line.length > 16 && !line.startsWith("---"));
      const der = Buffer.from(lines.join(""), "base64");
      return [...lines, der.toString("hex"), der.toString("base64url"), der.toString("latin1")];
    });
}

describe("an archive", () => {
  test("has everything that helps, readable by its owner alone, and no key", async () => {
    const made = await bundle();
    expect(made).toMatchObject({ status: 0, error: "" });
    const path = join(folder, "0.tar.gz");
    expect(made.out).toContain(`wrote ${path} (`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { files, modes } = await unpack(readFileSync(path));
    for (const name of [
      "README.txt",
      "version.json",
      "status.json",
      "associations.json",
      "locators.json",
      "whereabouts.json",
      "counters.json",
      "events.jsonl",
      "config/hipd.toml",
      "config/files.txt",
      "doctor.txt",
      "doctor.json",
      "netcheck.txt",
      "netcheck.json",
      "system/os-release.txt",
      "manifest.json",
    ]) {
      expect([...files.keys()]).toContain(name);
    }
    expect([...modes.values()].every((mode) => mode === 0o600)).toBe(true);
    expect(JSON.parse(files.get("status.json") ?? "")).toMatchObject({
      version: "1.2.3",
      peers: [{ name: SECRET_NAME }],
    });
    expect(
      files
        .get("events.jsonl")
        ?.trim()
        .split("\n")
        .map((line) => JSON.parse(line).number)[0],
    ).toBe(1);
    expect(files.get("config/files.txt")).toContain("state/identity.pem");
    const whole = [...files.values()].join("\n");
    const secrets = keyMaterial();
    expect(secrets.length).toBeGreaterThan(4);
    for (const secret of secrets) expect(whole).not.toContain(secret);
    expect(whole).not.toMatch(/BEGIN [A-Z ]*PRIVATE KEY/);
    expect(files.get("config/hipd.toml")).toContain("[a private key was here]");
  });

  test("without addresses has none of them, nor names, and the same pseudonym everywhere", async () => {
    expect((await bundle("--no-addresses")).status).toBe(0);
    const { files } = await unpack(readFileSync(join(folder, "1.tar.gz")));
    for (const [name, text] of files) {
      expect(addressesIn(text), name).toEqual([]);
      expect(`${name}\n${text}`).not.toMatch(/db7|corp\.example|ops@/);
    }
    const { peers, self } = JSON.parse(files.get("status.json") ?? "");
    expect(peers[0]).toMatchObject({ name: "peer-1", hit: "hit-1", lsi: "lsi-1" });
    const locator = /locators = \[ "(addr-\d+)", "\[(addr-\d+)\]:10501" \]/.exec(
      files.get("config/hipd.toml") ?? "",
    );
    expect(peers[0].locators).toEqual([`${locator?.[1]}:10500`, `[${locator?.[2]}]:10501`]);
    expect(files.get("doctor.txt")).toContain(self.hit);
    expect(files.get("netcheck.txt")).toMatch(/^PEER {4}STATE .*\npeer-1 {2}UNASSOCIATED /m);
    expect(files.get("pseudonyms.txt")).toMatch(/^hit-1: a HIT/m);
    const { missing } = JSON.parse(files.get("manifest.json") ?? "");
    expect(JSON.stringify(missing)).not.toContain("pseudonym");
  });

  test("answers programs, takes few events when asked, and replaces no file", async () => {
    const made = await bundle("--json", "--events", "1");
    const answer = JSON.parse(made.out);
    expect(Object.keys(answer)).toEqual(["file", "bytes", "addresses", "files", "missing"]);
    const { files } = await unpack(readFileSync(answer.file));
    expect(files.get("events.jsonl")?.trim().split("\n")).toHaveLength(1);
    expect(await bundle("--json", "--events", "1")).toMatchObject({ status: 6, out: "" });
  });

  test("follows no link out of peers.d", async () => {
    mkdirSync(join(folder, "peers.d"), { recursive: true });
    const link = join(folder, "peers.d/linked.toml");
    symlinkSync(write(folder, "shadow", "root:hashed\n", 0o600), link);
    const archive = join(folder, "linked.tar.gz");
    const made = await hipctl(["bundle", "--config", file, "--output", archive]);
    rmSync(link);
    expect(made.status, made.error).toBe(0);
    const { files } = await unpack(readFileSync(archive));
    expect(files.get("manifest.json")).toContain("peers.d/linked.toml: it is a symbolic link");
    expect([...files.values()].join("")).not.toContain("root:hashed");
  });

  test("is made without hipd, too", async () => {
    const output = join(folder, "dead.tar.gz");
    const made = await hipctl([
      "--socket",
      join(folder, "none"),
      "bundle",
      "--config",
      file,
      "--output",
      output,
    ]);
    expect(made.status).toBe(0);
    expect(made.out).toMatch(/ {2}without status\.json: hipd does not answer on .*none: no such file/);
    const { files } = await unpack(readFileSync(output));
    expect(files.get("doctor.txt")).toMatch(/problem +daemon/);
  });

  test("that cannot be written is an error", async () => {
    const output = join(folder, "missing", "x.tar.gz");
    expect(await hipctl(["bundle", "--config", file, "--output", output])).toMatchObject({
      status: 1,
      error: expect.stringContaining("cannot be written: no such file or directory"),
    });
  });
});

describe("pseudonyms", () => {
  const fresh = (): Pseudonyms => new Pseudonyms(prefix("198.18.0.0/15"));

  test.each([
    ["192.0.2.1:10500", "addr-1:10500"],
    ["[2001:db8::1]:10500", "[addr-1]:10500"],
    ["2001:db8::1: cannot be read", "addr-1: cannot be read"],
    ["fe80::1%eth0/64", "addr-1%eth0/64"],
    ["::ffff:192.0.2.1", "addr-1"],
    ["2001:0DB8:0:0:0:0:0:1 2001:db8::1", "addr-1 addr-1"],
    ["from 2001:22:1:2:3:4:5:6,", "from hit-1,"],
    ["20010022000100020003000400050006", "hit-1"],
    ["198.18.0.0/15 198.19.3.4", "lsi-1/15 lsi-2"],
    ["link/ether 52:54:00:12:34:56 brd ff:ff:ff:ff:ff:ff", "link/ether mac-1 brd mac-2"],
    ["id 0f9c3c3e-1111-2222-3333-444455556666", "id id-1"],
    ["host.example https://www.host.example/x", "host-1 https://host-2/x"],
    ["user@host.example", "user-1"],
    ["12:34:56.789", "12:34:56.789"],
    [
      "/etc/hipd/hipd.toml hipd.service hipd@blue.service",
      "/etc/hipd/hipd.toml hipd.service hipd@blue.service",
    ],
    ["2: eth0@if7: mtu 1500", "2: eth0@if7: mtu 1500"],
    ["0.0.0.0 :: ::1 127.0.0.1", "addr-3 addr-1 addr-2 addr-4"],
    ["1.2.3.4.5", "addr-1.5"],
    ["999.1.1.1", "999.1.1.1"],
    ["hipd 0.1.0", "hipd 0.1.0"],
  ])("%s", (text, shown) => {
    expect(fresh().text(text)).toBe(shown);
    expect(addressesIn(fresh().text(text))).toEqual([]);
  });

  test("names are words, the longest first, and regular expressions are only letters", () => {
    const pseudonyms = fresh();
    for (const name of ["db", "db-1", "a.b"]) pseudonyms.name(name, "peer");
    expect(pseudonyms.text("db db-1 db.hip dbx a.b axb /x/db.toml")).toBe(
      "peer-1 peer-2 peer-1.hip dbx peer-3 axb /x/peer-1.toml",
    );
  });

  test("keys of JSON stay", () => {
    const pseudonyms = fresh();
    pseudonyms.name("state", "peer");
    expect(pseudonyms.value({ state: "state", list: ["192.0.2.1", 7, null] })).toEqual({
      state: "peer-1",
      list: ["addr-1", 7, null],
    });
  });

  test("the legend says what kind of address it was", () => {
    const pseudonyms = fresh();
    pseudonyms.text("10.0.0.1 203.0.113.9 fe80::1 ::1");
    expect(pseudonyms.legend().map(({ note }) => note)).toEqual([
      "IPv6, link-local",
      "IPv6, loopback",
      "IPv4, private",
      "IPv4",
    ]);
  });

  test("this host's own name goes", () => {
    const pseudonyms = fresh();
    pseudonyms.name(hostname(), "host");
    expect(pseudonyms.text(`Jan 1 ${hostname()} hipd[1]: x`)).toBe("Jan 1 host-1 hipd[1]: x");
  });
});

test("secrets of others go, too", () => {
  const key = "-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----";
  expect(withoutSecrets(`a\n${key}\nb`)).toBe("a\n[a private key was here]\nb");
  expect(withoutSecrets("-----BEGIN PRIVATE KEY-----\ncut off")).toBe("[a private key was here]");
  expect(withoutSecrets('password = "x y"\nTOKEN: abc, d')).toBe(
    'password = "[removed]"\nTOKEN: "[removed]", d',
  );
  expect(withoutSecrets("puzzle = 3")).toBe("puzzle = 3");
});

test("a file that is too long is cut at a line, at the end that is worth less", async () => {
  const archive = new Archive("x", new Date(0));
  const long = `first\n${"middle\n".repeat(MAX_FILE_BYTES / 7)}last\n`;
  await archive.add({ name: "head", text: long, keep: "head" });
  await archive.add({ name: "tail", text: long, keep: "tail" });
  expect(archive.packed.map(({ truncated }) => truncated)).toEqual([true, true]);
  const { files } = await unpack(await archive.finish());
  expect(files.get("head")).toMatch(
    /^first\nmiddle\n[\s\S]*\nmiddle\n\[\.\.\. cut: the whole had \d+ bytes \.\.\.\]\n$/,
  );
  expect(files.get("tail")).toMatch(/^\[\.\.\. cut: .*\]\nmiddle\n[\s\S]*\nlast\n$/);
  for (const text of files.values()) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_FILE_BYTES);
});
