/**
 * Makes the Debian package: `node tools/deb/main.ts [--arch amd64|arm64] [--version X] [--out FOLDER] [--quick]`.
 * The same commit gives the same bytes: SOURCE_DATE_EPOCH is the time of the commit unless it is set.
 * What was built before (`make compile`) is taken as it is. The last line is the file.
 */
import { chmodSync, globSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { packageVersion } from "../../src/runtime/version.ts";
import { addon, libraryDepends } from "./addon.ts";
import { nodeBinary } from "./node-binary.ts";
import { type Arch, Lacking, NATIVE_ARCH, ROOT, run } from "./paths.ts";
import { control, maintainer, stage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    arch: { type: "string", default: NATIVE_ARCH },
    version: { type: "string", default: packageVersion() },
    out: { type: "string", default: join(ROOT, "build/deb") },
    /** For tests: little compression. */
    quick: { type: "boolean", default: false },
  },
});

try {
  if (values.arch !== "amd64" && values.arch !== "arm64")
    throw new Lacking(`there is no package for ${values.arch}`);
  if (!/^[0-9][A-Za-z0-9.+~]*$/.test(values.version))
    throw new Lacking(`"${values.version}" is not a version`);
  console.log(build(values.arch, values.version, values.out, values.quick));
} catch (error) {
  if (!(error instanceof Lacking)) throw error;
  console.error(`make deb: ${error.message}`);
  process.exitCode = 1;
}

function build(arch: Arch, version: string, out: string, quick: boolean): string {
  process.umask(0o022);
  const epoch = Number(process.env["SOURCE_DATE_EPOCH"] ?? run(["git", "log", "-1", "--format=%ct"]).trim());
  const node = nodeBinary(arch);
  const tree = join(out, `tree-${version}-${arch}`);
  rmSync(tree, { recursive: true, force: true });
  mkdirSync(tree, { recursive: true });
  const binaries = stage(tree, { version, arch, epoch, node, addon: addon(arch, node) });
  control(tree, {
    version,
    arch,
    maintainer: maintainer(),
    depends: libraryDepends(binaries, arch),
    size: String(installedKibibytes(tree)),
  });
  settle(tree, epoch);
  const file = join(out, `hipd_${version}_${arch}.deb`);
  run(["dpkg-deb", "--root-owner-group", ...(quick ? ["-Zgzip", "-z1"] : []), "--build", tree, file], {
    env: { SOURCE_DATE_EPOCH: String(epoch) },
  });
  rmSync(tree, { recursive: true });
  return file;
}

/** What dpkg says that a package takes: each file in whole KiB, and one for each folder or link. */
function installedKibibytes(tree: string): number {
  return globSync("**", { cwd: tree, withFileTypes: true }).reduce((sum, entry) => {
    if (!entry.isFile()) return sum + 1;
    return sum + Math.ceil(statSync(join(entry.parentPath, entry.name)).size / 1024);
  }, 0);
}

/** Modes do not depend on who builds, nor times on when. */
function settle(tree: string, epoch: number): void {
  for (const entry of globSync("**", { cwd: tree, withFileTypes: true })) {
    if (entry.isDirectory()) chmodSync(join(entry.parentPath, entry.name), 0o755);
  }
  run(["find", tree, "-exec", "touch", "--no-dereference", `--date=@${epoch}`, "{}", "+"]);
}
