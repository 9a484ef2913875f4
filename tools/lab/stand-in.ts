/** A Debian package with hipd's two programs, which are those of this checkout: for machines on top of this one. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "./shell.ts";

const ROOT = join(import.meta.dirname, "../..");

/** Makes `file`, version 9.9, with the help of a folder. It brings a configuration, as the real one does, and writes /run/hipd.pid. */
export async function standIn(folder: string, file: string): Promise<void> {
  const tree = join(folder, "package");
  for (const each of ["DEBIAN", "usr/bin", "etc/hipd"]) mkdirSync(join(tree, each), { recursive: true });
  mkdirSync(dirname(file), { recursive: true });
  const control = "Package: hipd\nVersion: 9.9\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n";
  writeFileSync(join(tree, "DEBIAN/control"), `${control}Description: hipd of a checkout\n`);
  writeFileSync(join(tree, "DEBIAN/conffiles"), "/etc/hipd/hipd.toml\n");
  writeFileSync(join(tree, "etc/hipd/hipd.toml"), "# what the package brings\n");
  program(tree, "hipd", `case "$*" in *--check*) ;; *) echo $$ > /run/hipd.pid ;; esac\n`);
  program(tree, "hipctl", "");
  await run(["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z1", tree, file]);
}

function program(tree: string, name: string, before: string): void {
  const text = `#!/bin/sh\n${before}exec ${ROOT}/bin/${name} "$@"\n`;
  writeFileSync(join(tree, "usr/bin", name), text, { mode: 0o755 });
}
