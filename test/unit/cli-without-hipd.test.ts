/** hipctl where no hipd runs: what it says, identities in files, and completion. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Identity } from "../../src/crypto/identity.ts";
import { writePrivateKey } from "../../src/crypto/keyfile.ts";
import { hipctl } from "../support/cli.ts";
import { temporaryFolder, write } from "../support/runtime.ts";

describe("hipd that does not run", () => {
  test("no socket", async () => {
    expect(await hipctl(["status"], { environment: { HIPD_SOCKET: "/run/nowhere/hipd.sock" } })).toEqual({
      status: 5,
      out: "",
      error:
        "hipctl: hipd does not answer on /run/nowhere/hipd.sock: no such file (is it running? systemctl status hipd)\n",
    });
  });
  test("something that is no socket", async () => {
    const file = write(temporaryFolder(), "hipd.sock", "");
    expect((await hipctl(["--socket", file, "status"])).error).toBe(
      `hipctl: hipd does not answer on ${file}: it is not a socket (is it running? systemctl status hipd)\n`,
    );
  });
  test("a socket of the dead", async () => {
    const socket = join(temporaryFolder(), "hipd.sock");
    const script = `require("net").createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", script]);
    const result = await hipctl(["--socket", socket, "status"]);
    expect(result.status).toBe(5);
    expect(result.error).toMatch(
      /^hipctl: hipd does not answer on \/.*hipd.sock: nobody listens there \(is it running\? systemctl status hipd\)\n$/,
    );
  });
  test("the version of hipctl is known without it", async () => {
    const result = await hipctl(["--socket", "/nowhere", "version"]);
    expect(result).toMatchObject({
      status: 0,
      out: expect.stringMatching(/^hipctl \S+\nhipd {3}does not answer\n$/),
    });
  });
});

describe("identities without hipd", () => {
  test("new, list, show, use, export, import in a folder", async () => {
    const dir = join(temporaryFolder(), "keys");
    const cli = (...argv: string[]) => hipctl(["identity", ...argv, "--dir", dir]);
    expect((await cli("show")).status).toBe(6);
    const made = await cli("new");
    expect(made.out).toMatch(/^made identity identity \(ECDSA P-256\): 2001:22:/);
    expect(statSync(join(dir, "identity.pem")).mode & 0o777).toBe(0o600);
    expect((await cli("new")).error).toMatch(/identity\.pem: exists already and is not replaced/);
    expect((await cli("new", "second", "--kind", "ed25519")).status).toBe(0);
    expect((await cli("use", "second")).out).toMatch(/second +yes/);
    expect((await cli("export")).out).toMatch(/^second\. IN HIP \( 4 200100/);
    const out = join(dir, "..", "exported.pem");
    expect((await cli("export", "--private", "--output", out)).out).toBe(
      `wrote the private key of second to ${out} (mode 0600)\n`,
    );
    expect(statSync(out).mode & 0o777).toBe(0o600);
    expect((await cli("export", "--private", "--output", out)).error).toMatch(
      /exists already and is not replaced/,
    );
    expect((await cli("export", "--private", "--format", "openssh")).out).toMatch(
      /^-----BEGIN OPENSSH PRIVATE KEY-----/,
    );
    expect((await cli("import", out)).error).toMatch(/this key exists already: it is the identity "second"/);
    expect((await cli("list")).status).toBe(0);
    rmSync(join(dir, "second.pem"));
    expect((await cli("import", out, "--name", "third")).out).toMatch(
      /^imported identity third \(Ed25519\): 2001:25:/,
    );
  });

  test("a private key never comes without --private", async () => {
    const dir = temporaryFolder();
    await hipctl(["identity", "new", "--dir", dir]);
    const key = readFileSync(join(dir, "identity.pem"), "utf8").split("\n")[1] as string;
    for (const argv of [["export"], ["show"], ["list"], ["show", "--json"], ["export", "--json"]]) {
      const result = await hipctl(["identity", ...argv, "--dir", dir]);
      expect(result.status).toBe(0);
      expect(result.out + result.error).not.toContain(key.slice(0, 24));
    }
  });

  test("a key from standard input", async () => {
    const dir = temporaryFolder();
    const input = Buffer.from(writePrivateKey(Identity.generate("ecdsa-p384"), "openssh"));
    expect((await hipctl(["identity", "import", "-", "--dir", dir], { input })).status).toBe(2);
    expect((await hipctl(["identity", "import", "-", "--name", "x", "--dir", dir], { input })).out).toMatch(
      /^imported identity x \(ECDSA P-384\)/,
    );
  });

  test("where the configuration says", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "keys"), { mode: 0o700 });
    const config = write(folder, "hipd.toml", '[identity]\nkey = "keys/main.pem"\ndefault = "main"\n');
    const cli = (...argv: string[]) => hipctl(["identity", ...argv, "--config", config]);
    expect((await cli("new", "main")).status).toBe(0);
    expect(statSync(join(folder, "keys/main.pem")).isFile()).toBe(true);
    expect((await cli("use", "main")).error).toMatch(
      /hipd.toml sets \[identity\] default = "main"; change it there/,
    );
    chmodSync(join(folder, "keys/main.pem"), 0o644);
    expect(await cli("list")).toMatchObject({ status: 4, error: expect.stringMatching(/run: chmod 600/) });
    writeFileSync(config, "nonsense");
    expect((await cli("list")).status).toBe(3);
  });
});

describe("completion", () => {
  test.each(["bash", "zsh", "fish"])("%s names all commands and options", async (shell) => {
    const { status, out } = await hipctl(["completion", shell]);
    expect(status).toBe(0);
    for (const word of [
      "association",
      "close",
      "inbound-family",
      "hipctl peer list --names",
      "hipctl identity list --names",
    ]) {
      expect(out).toContain(word);
    }
  });

  test("the script for bash works", async () => {
    const { out } = await hipctl(["completion", "bash"]);
    const complete = (...words: string[]): string[] => {
      const script = `${out}\nhipctl() { echo db1; echo web; }\nCOMP_WORDS=(hipctl ${words.map((word) => `"${word}"`).join(" ")})\nCOMP_CWORD=${words.length}\n_hipctl\nprintf '%s\\n' "\${COMPREPLY[@]}"`;
      const ran = spawnSync("bash", ["-c", script], { encoding: "utf8" });
      expect(ran.stderr).toBe("");
      return ran.stdout.split("\n").filter((line) => line !== "");
    };
    expect(complete("asso")).toEqual(["association"]);
    expect(complete("peer", "")).toEqual(expect.arrayContaining(["list", "show", "add", "remove"]));
    expect(complete("peer", "add", "x", "--inb")).toEqual(["--inbound-family"]);
    expect(complete("ping", "")).toEqual(expect.arrayContaining(["db1", "web"]));
    expect(complete("--json", "connect", "w")).toEqual(["web"]);
  });
});
