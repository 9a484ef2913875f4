/** How this machine comes to ask for names of peers: the block in the file of hosts, and systemd-resolved. */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { err, ok } from "../../src/core/types.ts";
import { withBlock, writeHostsBlock } from "../../src/runtime/dns/hosts-file.ts";
import {
  applyResolved,
  isApplied,
  type Run,
  resolvectlCommands,
  whyNotTunnel,
} from "../../src/runtime/dns/resolved.ts";
import { hostLabel, parseDnsListen, parseDnsName, parseNamesDomain } from "../../src/runtime/dns/settings.ts";

const ENTRIES = [
  { address: "198.18.1.2", name: "bob.hip" },
  { address: "2001:22::1", name: "bob.hip" },
];

describe("the block in /etc/hosts", () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hosts-"));
    file = join(folder, "hosts");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("comes, changes and goes, and leaves every other byte as it was", () => {
    const before = "127.0.0.1\tlocalhost\r\n\n# ümläut\xff\n::1 x";
    const once = withBlock(before, "hip0", ENTRIES);
    expect(once).toContain("198.18.1.2\tbob.hip\n2001:22::1\tbob.hip\n# END hipd hip0\n");
    expect(withBlock(once, "hip0", ENTRIES)).toBe(once);
    const more = `${withBlock(once, "hip0", ENTRIES.slice(1))}10.0.0.1 later\n`;
    expect(more).not.toContain("198.18.1.2");
    expect(withBlock(more, "hip0", [])).toBe(`${before}\n10.0.0.1 later\n`);
  });

  it("of one overlay is no matter of another", () => {
    const both = withBlock(withBlock("", "hip0", ENTRIES), "hip1", ENTRIES);
    expect(withBlock(both, "hip0", [])).toBe(withBlock("", "hip1", ENTRIES));
  });

  it("without its end ends with the last line that is ours", () => {
    const torn =
      "a\n# BEGIN hipd hip0\n# Written by hipd, which also removes it: hipctl dns off\n198.18.1.2\tbob.hip\n10.0.0.1 db # ours\n";
    expect(withBlock(torn, "hip0", [])).toBe("a\n10.0.0.1 db # ours\n");
  });

  it("is removed without a trace from any file", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "binary" }).map((line) => line.replaceAll("\n", " "))),
        (lines) => {
          const before = lines.map((line) => `${line.replace("# BEGIN hipd", "")}\n`).join("");
          expect(withBlock(withBlock(before, "hip0", ENTRIES), "hip0", [])).toBe(before);
        },
      ),
    );
  });

  it("keeps the file's mode and follows a link; what is equal is not written", () => {
    writeFileSync(file, Buffer.from("127.0.0.1 localhost\n# \xff\n", "latin1"));
    chmodSync(file, 0o640);
    const link = join(folder, "link");
    symlinkSync(file, link);
    expect(writeHostsBlock(link, "hip0", ENTRIES)).toEqual(ok(true));
    const { ino, mode } = statSync(file);
    expect(mode & 0o777).toBe(0o640);
    expect(writeHostsBlock(file, "hip0", ENTRIES)).toEqual(ok(false));
    expect(statSync(file).ino).toBe(ino);
    expect(writeHostsBlock(file, "hip0", [])).toEqual(ok(true));
    expect(readFileSync(file, "latin1")).toBe("127.0.0.1 localhost\n# \xff\n");
  });

  it("takes nothing that is not a name with its address", () => {
    writeFileSync(file, "127.0.0.1 localhost\n");
    for (const bad of [
      { address: "198.18.0.1", name: "a.hip\n192.0.2.66 deb.debian.org" },
      { address: "198.18.0.1\n192.0.2.66", name: "a.hip" },
      { address: "198.18.0.1", name: "a.hip bank.example" },
    ]) {
      const refused = writeHostsBlock(file, "hip0", [...ENTRIES, bad]);
      expect(!refused.ok && refused.error).toContain("is no line for");
    }
    expect(writeHostsBlock(file, "hip0\n192.0.2.66 deb.debian.org", ENTRIES).ok).toBe(false);
    expect(readFileSync(file, "utf8")).toBe("127.0.0.1 localhost\n");
  });

  it("that is not there needs no removal; one that cannot be written says why", () => {
    expect(writeHostsBlock(file, "hip0", [])).toEqual(ok(false));
    expect(writeHostsBlock(file, "hip0", ENTRIES)).toEqual(
      err(`${file}: cannot be changed: no such file or directory`),
    );
  });
});

describe("systemd-resolved", () => {
  const link = { interface: "hip0", host: "198.18.0.9", port: 10553, zones: ["hip", "18.198.in-addr.arpa"] };

  it("is told where, for what and for nothing else, and that nothing is signed there", () => {
    expect(resolvectlCommands(link)).toEqual([
      ["dns", "hip0", "198.18.0.9:10553"],
      ["domain", "hip0", "~hip", "~18.198.in-addr.arpa"],
      ["default-route", "hip0", "false"],
      ["dnssec", "hip0", "no"],
      ["dnsovertls", "hip0", "no"],
      ["llmnr", "hip0", "no"],
      ["mdns", "hip0", "no"],
    ]);
    expect(resolvectlCommands({ ...link, port: 53 })[0]).toEqual(["dns", "hip0", "198.18.0.9"]);
  });

  it("is told by root of a TUN interface and of domains only, whatever the daemon says", () => {
    const root = mkdtempSync(join(tmpdir(), "hipd-net-"));
    onTestFinished(() => rmSync(root, { recursive: true }));
    for (const name of ["hip0", "eth0"]) mkdirSync(join(root, name), { recursive: true });
    writeFileSync(join(root, "hip0/tun_flags"), "0x1001\n");
    expect(whyNotTunnel(link, root)).toBeUndefined();
    for (const name of ["eth0", "none", "", "../net/hip0", "--help", "hip0/"])
      expect(whyNotTunnel({ ...link, interface: name }, root), name).toContain("is not a TUN interface");
    for (const zone of [".", "", "hip ~.", "hip\n", "~hip"])
      expect(whyNotTunnel({ ...link, zones: ["hip", zone] }, root), zone).toContain("is not a domain");
  });

  it("all or nothing: after a refusal it is as before", async () => {
    const done: string[] = [];
    const run: Run = async (...words) => {
      done.push(words.join(" "));
      return words.includes("dnssec") ? err("Access denied") : ok("");
    };
    expect(await applyResolved(link, run)).toEqual(err("resolvectl dnssec hip0: Access denied"));
    expect(done.at(-1)).toBe("resolvectl revert hip0");
  });

  it("says itself whether it asks us", async () => {
    const said =
      (dns: string, domain: string): Run =>
      async (_program, what) =>
        ok(what === "dns" ? dns : domain);
    const domain = "Link 3 (hip0): ~hip ~18.198.in-addr.arpa\n";
    expect(await isApplied(link, said("Link 3 (hip0): 198.18.0.9:10553\n", domain))).toBe(true);
    expect(await isApplied(link, said("Link 3 (hip0): 198.18.0.9\n", domain))).toBe(false);
    expect(await isApplied(link, said("Link 3 (hip0): 198.18.0.9:10553\n", "Link 3 (hip0):\n"))).toBe(false);
    expect(await isApplied(link, async () => err("no such link"))).toBe(false);
  });
});

describe("settings", () => {
  it.each([
    ["auto", { where: "auto" }],
    ["off", { where: "off" }],
    ["53", { where: "lsi", port: 53 }],
    ["127.0.0.53:5300", { where: "loopback", host: "127.0.0.53", port: 5300 }],
    ["[::1]:53", { where: "loopback", host: "::1", port: 53 }],
  ])("listen = %s", (text, value) => {
    expect(parseDnsListen(text)).toEqual(ok(value));
  });

  it.each(["", "0", "65536", "0.0.0.0:53", "192.0.2.1:53", "[2001:db8::1]:53", "localhost:53", "::1:53"])(
    "listen = %s is refused: nobody else may ask",
    (text) => {
      expect(parseDnsListen(text).ok).toBe(false);
    },
  );

  it("domains and names", () => {
    expect(parseNamesDomain("hip.")).toEqual(ok("hip"));
    expect(parseNamesDomain("a.lab")).toEqual(ok("a.lab"));
    for (const text of ["", "HIP", "local", "in-addr.arpa", "a..b", "-a", "x".repeat(64)]) {
      expect(parseNamesDomain(text).ok, text).toBe(false);
    }
    expect(parseDnsName("VM1.Example.org.")).toEqual(ok("vm1.example.org"));
    for (const text of ["vm1", "192.0.2.1", "a_b.org", "", "x y.org"])
      expect(parseDnsName(text).ok, text).toBe(false);
    expect(["vm1.example.org", "VM1", "localhost", "", "a_b", "日本"].map(hostLabel)).toEqual([
      "vm1",
      "vm1",
      "",
      "",
      "",
      "",
    ]);
  });
});
