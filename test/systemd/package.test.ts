/** The package as a file: what is in it, and what Debian's own checker says. And the same program by npm. */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { attempt, run } from "../../tools/lab/shell.ts";
import { debOf, FOLDER, makePackage, OLDER } from "./packages.ts";
import { suite } from "./support.ts";

const ROOT = join(import.meta.dirname, "../..");
const MEGABYTE = 1_000_000;

async function has(program: string): Promise<boolean> {
  return (await attempt(["sh", "-c", `command -v ${program}`])).status === 0;
}

suite("the package as a file", () => {
  const deb = join(FOLDER, debOf(OLDER));
  let folder = "";

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "hipd-deb-"));
    await run(["dpkg-deb", "-R", deb, folder]);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const document = (name: string): string =>
    gunzipSync(readFileSync(join(folder, "usr/share/doc/hipd", `${name}.gz`))).toString();

  test("lintian finds no error and no warning", async () => {
    const done = await attempt(["lintian", "--allow-root", "--fail-on=error,warning", deb], {
      timeoutMillis: 110_000,
    });
    expect(done.stdout + done.stderr).toBe("");
    expect(done.status).toBe(0);
  });

  test("is the same, byte for byte, when it is made again", async () => {
    const again = mkdtempSync(join(tmpdir(), "hipd-again-"));
    try {
      const hash = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");
      expect(hash(await makePackage(OLDER, again))).toBe(hash(deb));
    } finally {
      rmSync(again, { recursive: true });
    }
  });

  test("runs from where it was unpacked, with its own Node.js and no other", async () => {
    const home = join(folder, "usr/lib/hipd");
    const clean = ["env", "-i", join(home, "node")];
    expect(await run([...clean, join(home, "dist/bundle/cli/hipd-main.js"), "--version"])).toBe(
      `hipd ${OLDER}\n`,
    );
    expect(await run([...clean, join(home, "dist/bundle/cli/hipctl-main.js"), "--help"])).toContain(
      "Usage: hipctl",
    );
    const load = `process.dlopen({ exports: {} }, ${JSON.stringify(join(home, "native/build/hipd_native.node"))})`;
    await run([...clean, "-e", load]);
    expect(statSync(join(home, "node")).size).toBeLessThan(120 * MEGABYTE);
    const others = await run(["du", "-s", "-k", join(home, "node_modules")]);
    expect(Number.parseInt(others, 10)).toBeLessThan(16_000);
  });

  test("holds no tests, types or source maps", async () => {
    const listed = (await run(["dpkg-deb", "-c", deb])).split("\n");
    const files = listed.filter((line) => line.includes(" ./usr/lib/hipd/"));
    expect(files.filter((line) => /\.(d\.ts|map|ts|md)$|\/(test|tests|__tests__)\//.test(line))).toEqual([]);
    expect(
      files.filter((line) => /node_modules\/(vitest|typescript|@biomejs|fast-check)\//.test(line)),
    ).toEqual([]);
  });

  test("its bill of materials names every package in it, Node.js and OpenSSL", () => {
    const bom = JSON.parse(document("sbom.cdx.json")) as {
      bomFormat: string;
      metadata: { component: { name: string; version: string } };
      components: { name: string; group?: string; version: string }[];
      dependencies: { ref: string; dependsOn: string[] }[];
    };
    expect(bom.bomFormat).toBe("CycloneDX");
    expect(bom.metadata.component).toMatchObject({ name: "hipd", version: OLDER });
    const names = new Map(
      bom.components.map((each) => [
        each.group === undefined ? each.name : `${each.group}/${each.name}`,
        each.version,
      ]),
    );
    expect(names.get("node")).toBe(process.versions.node);
    expect(names.get("openssl")).toBe(process.versions.openssl);
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
    };
    for (const [name, version] of Object.entries(dependencies)) expect(names.get(name), name).toBe(version);
    expect(names.has("typescript")).toBe(false);
    const refs = new Set(bom.dependencies.map(({ ref }) => ref));
    expect(
      bom.dependencies.flatMap(({ dependsOn }) => dependsOn).filter((ref) => ref.startsWith("node@")).length,
    ).toBe(1);
    expect(refs.size).toBe(bom.dependencies.length);
  });

  test("the licences of everything in it are there", () => {
    const text = document("third-party-licences.txt");
    for (const words of [
      "zod ",
      "@grpc/grpc-js ",
      "Apache License",
      `Node.js ${process.versions.node}\n=`,
      "OpenSSL",
      "libuv",
    ])
      expect(text).toContain(words);
    expect(text).not.toMatch(/\(UNKNOWN\)|\(\)/);
  });

  test("shells accept the completions", async () => {
    const places = {
      bash: "bash-completion/completions/hipctl",
      zsh: "zsh/vendor-completions/_hipctl",
      fish: "fish/vendor_completions.d/hipctl.fish",
    };
    for (const [shell, place] of Object.entries(places)) {
      const file = join(folder, "usr/share", place);
      expect(readFileSync(file, "utf8")).toContain("hipctl");
      if (await has(shell)) await run([shell, "-n", file]);
    }
    const script = `source ${join(folder, "usr/share/bash-completion/completions/hipctl")}; COMP_WORDS=(hipctl peer ""); COMP_CWORD=2; _hipctl; echo "\${COMPREPLY[@]}"`;
    expect(await run(["bash", "-c", script])).toContain("add");
  });
});

suite("npm install -g of the packed tarball", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "hipd-npm-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("gives a hipctl and a hipd that run, with an addon that loads", async (context) => {
    const packed = await run(["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", folder]);
    const tarball = join(folder, packed.trim().split("\n").at(-1) as string);
    const prefix = join(folder, "prefix");
    const npm = [
      "npm",
      "install",
      "-g",
      "--prefer-offline",
      "--no-audit",
      "--no-fund",
      "--foreground-scripts",
      "--prefix",
      prefix,
      tarball,
    ];
    const done = await attempt(npm, { timeoutMillis: 110_000 });
    if (/ENOTFOUND|EAI_AGAIN|ENETUNREACH|ECONNREFUSED|ETIMEDOUT/.test(done.stderr))
      context.skip("npm's registry is out of reach");
    expect(done.status, done.stdout + done.stderr).toBe(0);
    for (const program of ["hipd", "hipctl"]) {
      expect(await run([join(prefix, "bin", program), "--version"])).toContain(OLDER);
    }
    const home = join(prefix, "lib/node_modules/hipd");
    await run([
      process.execPath,
      "-e",
      `process.dlopen({ exports: {} }, ${JSON.stringify(join(home, "native/build/hipd_native.node"))})`,
    ]);
    expect((await attempt(["find", join(home, "dist"), "-name", "*.map"])).stdout).toBe("");
    expect(existsSync(join(home, "dist/src"))).toBe(false);
  });
});
