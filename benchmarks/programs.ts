/** The programs that load and measure: C sources, compiled when they changed, and what they need. */
import { existsSync, globSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { run } from "../tools/lab/shell.ts";

const SOURCES = join(import.meta.dirname, "programs");
const FOLDER = join(import.meta.dirname, "../build/benchmarks");

const compiling = new Map<string, Promise<string>>();

/** Compiles one of benchmarks/programs/*.c if it or a header changed; gives the path of the program. */
export function program(name: string): Promise<string> {
  const begun = compiling.get(name) ?? compile(name);
  compiling.set(name, begun);
  return begun;
}

async function compile(name: string): Promise<string> {
  const source = join(SOURCES, `${name}.c`);
  const target = join(FOLDER, name);
  const parts = [source, ...globSync(join(SOURCES, "*.h"))];
  const newest = Math.max(...parts.map((path) => statSync(path).mtimeMs));
  if (!existsSync(target) || statSync(target).mtimeMs < newest) {
    mkdirSync(FOLDER, { recursive: true });
    const libraries = ["-lssl", "-lcrypto", "-lm"];
    await run([
      "cc",
      "-D_GNU_SOURCE",
      "-O2",
      "-Wall",
      "-Wextra",
      "-pthread",
      "-o",
      target,
      source,
      ...libraries,
    ]);
  }
  return target;
}

/** The program in TypeScript of this name, for the Node that runs us. */
export function nodeProgram(name: string): readonly string[] {
  return [process.execPath, join(SOURCES, `${name}.ts`)];
}

export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** A self-signed ECDSA P-256 certificate, valid for two days: `<folder>/<name>.crt` and `.key`. */
export async function makeCertificate(folder: string, name = "tls"): Promise<Certificate> {
  const [certificate, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  await run([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...["-days", "2", "-subj", `/CN=${name}`, "-keyout", key, "-out", certificate],
  ]);
  return { certificate, key };
}
