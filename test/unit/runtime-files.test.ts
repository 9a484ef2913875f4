/** Files that root reads and writes where a service's user may put links. */
import { execFileSync } from "node:child_process";
import { chmodSync, lstatSync, mkdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { giveFolder, readSecret, readUnlinked, writeAtomically } from "../../src/runtime/files.ts";
import { temporaryFolder, write } from "../support/runtime.ts";

test("only a folder is given to somebody, never what a link in its place points to", () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "private"));
  symlinkSync("private", join(folder, "link"));
  const { uid, gid } = statSync(folder);
  const to = uid === 0 ? { uid: 12_345, gid: 12_345 } : { uid, gid };
  expect(() => giveFolder(join(folder, "link"), to)).toThrow(/ENOTDIR|ELOOP/);
  expect(statSync(join(folder, "private")).uid).toBe(uid);
  giveFolder(join(folder, "private"), to);
  expect(statSync(join(folder, "private")).uid).toBe(to.uid);
  expect(() => giveFolder(write(folder, "file", ""), to)).toThrow("ENOTDIR");
});

test("a link is not read through", () => {
  const folder = temporaryFolder();
  write(folder, "shadow", "root:secret\n", 0o600);
  symlinkSync("shadow", join(folder, "peer.toml"));
  expect(readUnlinked(join(folder, "shadow")).toString()).toBe("root:secret\n");
  expect(() => readUnlinked(join(folder, "peer.toml"))).toThrow("ELOOP");
});

test("what is no regular file is not replaced", () => {
  const folder = temporaryFolder();
  symlinkSync("/dev/null", join(folder, "null"));
  expect(() => writeAtomically(join(folder, "null"), "x", 0o644)).toThrow("not a regular file");
  expect(lstatSync(join(folder, "null")).isSymbolicLink()).toBe(true);
  const file = write(folder, "file", "old");
  chmodSync(file, 0o644);
  writeAtomically(file, "new", 0o600);
  expect([readFileSync(file, "utf8"), statSync(file).mode & 0o777]).toEqual(["new", 0o600]);
});

test("nobody waits for a pipe that stands where a key should", () => {
  const pipe = join(temporaryFolder(), "identity.pem");
  execFileSync("mkfifo", ["-m", "600", pipe]);
  const read = readSecret(pipe);
  expect(read.ok ? "" : read.error).toBe(`${pipe}: is not a regular file`);
});
