/** The tree of files that becomes the package. */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { manualPages } from "../man/pages.ts";
import { billOfMaterials, thirdPartyLicences } from "./inventory.ts";
import { type NodeBinary, stripped } from "./node-binary.ts";
import { type Arch, CACHE, DEBIAN, ROOT, run } from "./paths.ts";
import { copyPackage, productionPackages } from "./production.ts";

export interface Ingredients {
  readonly version: string;
  readonly arch: Arch;
  readonly epoch: number;
  readonly node: NodeBinary;
  readonly addon: string;
}

/** Where the program lies; bin/hipd and bin/hipctl know this place. */
const HOME = "usr/lib/hipd";

/** Lays everything out in `tree`, which must not exist. Gives the binaries that ask something of the system. */
export function stage(tree: string, ingredients: Ingredients): readonly string[] {
  const home = join(tree, HOME);
  const binaries = program(home, ingredients);
  for (const name of ["hipd", "hipctl"]) {
    write(join(tree, "usr/bin", name), launcher(name));
    chmodSync(join(tree, "usr/bin", name), 0o755);
  }
  // Compiled code is the machine's own.
  link("/var/cache/hipd/compile", join(home, "dist/.compile-cache"));
  const compiling = readFileSync(join(DEBIAN, "compile-cache"), "utf8");
  write(join(home, "compile-cache"), compiling.replace("@options@", optionsOf("hipd").join(" ")));
  chmodSync(join(home, "compile-cache"), 0o755);
  put(join(DEBIAN, "compile-cache.mjs"), join(home, "compile-cache.mjs"));

  put(join(ROOT, "deploy/hipd.toml"), join(tree, "etc/hipd/hipd.toml"));
  for (const unit of globSync("deploy/systemd/*.{service,socket,target,path,timer}", { cwd: ROOT }).sort()) {
    put(join(ROOT, unit), join(tree, "lib/systemd/system", basename(unit)));
  }
  examples(join(tree, "usr/share/doc/hipd/examples"));
  put(join(DEBIAN, "hipd.sysusers"), join(tree, "usr/lib/sysusers.d/hipd.conf"));
  put(join(DEBIAN, "hipd.tmpfiles"), join(tree, "usr/lib/tmpfiles.d/hipd.conf"));
  documents(tree, ingredients);
  return binaries;
}

/** Drop-ins that somebody may want, and what clouds, fleets and monitoring are given. */
function examples(target: string): void {
  for (const file of globSync("deploy/systemd/*.conf", { cwd: ROOT })) {
    put(join(ROOT, file), join(target, basename(file)));
  }
  for (const file of globSync("deploy/{ansible,aws,cloud-init,grafana,hybrid,openstack,prometheus}/**", {
    cwd: ROOT,
    withFileTypes: true,
  })) {
    const path = join(file.parentPath, file.name);
    if (file.isFile()) put(path, join(target, relative(join(ROOT, "deploy"), path)));
  }
}

function program(home: string, { version, arch, node, addon }: Ingredients): readonly string[] {
  const binary = join(home, "node");
  const kept = join(CACHE, `node-${node.version}-${arch}`);
  if (!existsSync(kept)) stripped(node.binary, arch, kept);
  put(kept, binary, 0o755);
  const native = join(home, "native/build/hipd_native.node");
  stripped(addon, arch, native);
  chmodSync(native, 0o644);

  for (const file of globSync("bundle/*/*.js", { cwd: join(ROOT, "dist") }))
    put(join(ROOT, "dist", file), join(home, "dist", file));
  cpSync(join(ROOT, "proto"), join(home, "proto"), { recursive: true });
  const { name, description, license, type } = JSON.parse(
    readFileSync(join(ROOT, "package.json"), "utf8"),
  ) as Record<string, string>;
  write(
    join(home, "package.json"),
    `${JSON.stringify({ name, version, description, license, type }, null, 2)}\n`,
  );
  for (const each of productionPackages()) copyPackage(each, home);
  run(["find", join(home, "node_modules"), "-type", "f", "-exec", "chmod", "644", "{}", "+"]);
  run(["find", join(home, "node_modules"), "-type", "d", "-empty", "-delete"]);
  return [binary, native];
}

/** bin/NAME looks for its Node.js. Here it is known, and a restart is as short as its start. */
function launcher(name: string): string {
  const options = optionsOf(name);
  const command = [`/${HOME}/node`, ...options, `/${HOME}/dist/bundle/cli/${name}-main.js`];
  return `#!/bin/sh\nexec ${command.join(" ")} "$@"\n`;
}

/** What the launcher of the source gives to Node.js. */
function optionsOf(name: string): readonly string[] {
  const options = /^options="(.*)"$/m.exec(readFileSync(join(ROOT, "bin", name), "utf8"))?.[1];
  return options === undefined ? [] : options.split(" ");
}

function documents(tree: string, { version, arch, epoch, node }: Ingredients): void {
  const date = new Date(epoch * 1000);
  for (const page of manualPages(version, date.toISOString().slice(0, 10))) {
    compressed(page.text, join(tree, `usr/share/man/man${page.section}/${page.name}.${page.section}`));
  }
  for (const [shell, place] of [
    ["bash", "bash-completion/completions/hipctl"],
    ["zsh", "zsh/vendor-completions/_hipctl"],
    ["fish", "fish/vendor_completions.d/hipctl.fish"],
  ] as const) {
    const text = run(["node", join(ROOT, "dist/bundle/cli/hipctl-main.js"), "completion", shell]);
    write(join(tree, "usr/share", place), text);
  }
  const doc = join(tree, "usr/share/doc/hipd");
  put(join(DEBIAN, "copyright"), join(doc, "copyright"));
  put(join(DEBIAN, "lintian-overrides"), join(tree, "usr/share/lintian/overrides/hipd"));
  const packages = productionPackages();
  compressed(billOfMaterials(version, epoch, packages, node, arch), join(doc, "sbom.cdx.json"));
  compressed(thirdPartyLicences(packages, node), join(doc, "third-party-licences.txt"));
  compressed(readFileSync(join(ROOT, "CHANGELOG.md"), "utf8"), join(doc, "CHANGELOG.md"));
  compressed(
    `hipd (${version}) unstable; urgency=medium\n\n  * Release ${version}: see CHANGELOG.md.gz.\n\n -- ${maintainer()}  ${date.toUTCString().replace("GMT", "+0000")}\n`,
    join(doc, "changelog"),
  );
  for (const name of readdirSync(join(ROOT, "docs")).sort()) {
    if (/^(?!ARCHITECTURE|CONFORMANCE|DEPENDENCIES|PERFORMANCE|TESTING)[A-Z-]+\.md$/.test(name)) {
      compressed(readFileSync(join(ROOT, "docs", name), "utf8"), join(doc, name));
    }
  }
}

export function maintainer(): string {
  const name = process.env["DEBFULLNAME"] ?? "The hipd maintainers";
  return `${name} <${process.env["DEBEMAIL"] ?? "maintainers@hipd.example.org"}>`;
}

/** Fills DEBIAN/: control file, scripts, checksums. */
export function control(tree: string, values: Readonly<Record<string, string>>): void {
  const folder = join(tree, "DEBIAN");
  rmSync(folder, { recursive: true, force: true });
  const files = globSync("**", { cwd: tree, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(tree.length + 1))
    .sort();
  const sums = run(["md5sum", "--", ...files], { cwd: tree });
  mkdirSync(folder);
  write(join(folder, "md5sums"), sums);
  const text = readFileSync(join(DEBIAN, "control"), "utf8").replace(/@(\w+)@/g, (_all, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`deploy/debian/control: nothing is known of @${name}@`);
    return value;
  });
  write(join(folder, "control"), text);
  put(join(DEBIAN, "conffiles"), join(folder, "conffiles"));
  for (const script of ["postinst", "prerm", "postrm"])
    put(join(DEBIAN, script), join(folder, script), 0o755);
}

function put(from: string, to: string, mode = 0o644): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  chmodSync(to, mode);
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode: 0o644 });
}

function link(target: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(target, path);
}

/** As gzip -9n: without a name and a time. */
function compressed(text: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.gz`, gzipSync(text, { level: 9 }), { mode: 0o644 });
}
