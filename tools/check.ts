/** What keeps the house in order: `make check`, also the first suite of `make test`. */
import {
  cpSync,
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { type Outcome, RESULTS, ROOT, runProgram, type Skip } from "./testing/suite.ts";

/** Undefined: in order. Otherwise what is wrong, line by line, or why it could not be looked at. */
type Verdict = undefined | { readonly wrong: readonly string[] } | { readonly skipped: string };

export interface Check {
  readonly name: string;
  run(): Verdict | Promise<Verdict>;
}

/** Bottom first. A layer may import the layers before it. */
const LAYERS = ["core", "wire", "crypto", "hip", "overlay", "driver", "runtime", "cli"] as const;
const MAX_LINES = 400;
/** Lines of a tool's complaints that are shown; its log has them all. */
const MAX_SHOWN = 60;

export function checks(): readonly Check[] {
  return [
    { name: "biome", run: () => program("biome", ["biome", "check", "--max-diagnostics=50"]) },
    { name: "tsc", run: () => program("tsc", ["tsc", "-b"]) },
    { name: "clang-format", run: clangFormat },
    { name: "file sizes", run: sizes },
    { name: "layers declare what stands below them", run: references },
    { name: "an upward import does not compile", run: upwardImport },
    { name: "process does not compile in a pure layer", run: impurity },
    { name: "only native/addon.cc includes node_api.h", run: nodeApi },
    { name: "nothing imports test/", run: testImports },
    { name: "the simulator imports neither runtime nor cli", run: simulatorImports },
    { name: "native/ is reached only through runtime/early.ts", run: nativeImports },
    { name: "the lockfile names no registry", run: lockfile },
  ];
}

/** Runs all of them; several may be wrong at once. */
export async function runChecks(list: readonly Check[]): Promise<Outcome> {
  let passed = 0;
  const failed: string[] = [];
  const skipped: Skip[] = [];
  for (const check of list) {
    const verdict = await check.run();
    if (verdict === undefined) passed++;
    else if ("skipped" in verdict) skipped.push({ name: check.name, why: verdict.skipped, count: 1 });
    else failed.push([check.name, ...verdict.wrong].join("\n         "));
  }
  return { passed, failed, skipped };
}

async function program(name: string, command: readonly string[]): Promise<Verdict> {
  const done = await runProgram(`check-${name}`, command, { env: { NO_COLOR: "1" } });
  if (done.status === 0) return undefined;
  return { wrong: done.output.trimEnd().split("\n").slice(-MAX_SHOWN) };
}

async function clangFormat(): Promise<Verdict> {
  const files = globSync(["native/**/*.{cc,h}", "benchmarks/**/*.{c,cc}", "tools/**/*.{c,cc}"], {
    cwd: ROOT,
  });
  const sources = files.filter((file) => !file.startsWith("native/build/"));
  if (sources.length === 0) return undefined;
  const probe = await runProgram("check-clang-format", ["clang-format", "--version"]);
  if (probe.status !== 0) return { skipped: "clang-format is not installed" };
  return program("clang-format", ["clang-format", "--dry-run", "--Werror", ...sources]);
}

function sizes(): Verdict {
  const file = join(ROOT, "tools/size-exceptions.txt");
  const allowed = new Map<string, string>();
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const match = /^([^#\s]\S*)\s+(\S.*)$/.exec(line);
    if (match !== null) allowed.set(match[1] as string, match[2] as string);
  }
  const wrong: string[] = [];
  for (const path of sources("{src,native,test,tools,benchmarks}/**/*.{ts,cc,h,c}")) {
    const lines = readFileSync(join(ROOT, path), "utf8").split("\n").length - 1;
    if (lines > MAX_LINES && !allowed.has(path)) {
      wrong.push(`${path} has ${lines} lines; split it, or give the reason in tools/size-exceptions.txt`);
    }
    if (lines <= MAX_LINES && allowed.has(path)) {
      wrong.push(`${path} is short enough now; take it out of tools/size-exceptions.txt`);
    }
  }
  for (const path of allowed.keys()) {
    if (!existsSync(join(ROOT, path))) wrong.push(`tools/size-exceptions.txt: ${path} does not exist`);
  }
  return wrong.length === 0 ? undefined : { wrong };
}

function references(): Verdict {
  const wrong: string[] = [];
  for (const [index, layer] of LAYERS.entries()) {
    const path = `src/${layer}/tsconfig.json`;
    const config = JSON.parse(readFileSync(join(ROOT, path), "utf8")) as { references?: { path: string }[] };
    const below = (config.references ?? []).map((reference) => reference.path.replace("../", ""));
    const extra = below.filter((name) => !(LAYERS.slice(0, index) as readonly string[]).includes(name));
    if (extra.length > 0)
      wrong.push(`${path} references ${extra.join(", ")}, which do not stand below ${layer}`);
  }
  return wrong.length === 0 ? undefined : { wrong };
}

async function upwardImport(): Promise<Verdict> {
  const above = globSync("src/wire/*.ts", { cwd: ROOT })[0];
  if (above === undefined) return { skipped: "src/wire is empty" };
  const text = `import * as above from "../wire/${above.slice("src/wire/".length)}";\nexport const probe = above;\n`;
  return mustNotCompile("upward", text, /TS6307|TS6059/);
}

function impurity(): Promise<Verdict> {
  return mustNotCompile("impure", "export const probe = process.exit;\n", /TS2591|TS2580|TS2304/);
}

/** Compiles a copy of the lowest layer with one file more, which must be refused with the given diagnostic. */
async function mustNotCompile(name: string, text: string, expected: RegExp): Promise<Verdict> {
  const copy = mkdtempSync(join(tmpdir(), "hipd-check-"));
  try {
    cpSync(join(ROOT, "src"), join(copy, "src"), { recursive: true });
    for (const file of ["tsconfig.base.json", "package.json"]) cpSync(join(ROOT, file), join(copy, file));
    symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
    const project = join(copy, "src/core");
    const before = await runProgram(`check-${name}-control`, ["tsc", "-b", project]);
    if (before.status !== 0) return { wrong: ["src/core itself does not compile"] };
    writeFileSync(join(project, "probe.ts"), text);
    // Times of files are too coarse to tell that the probe is newer than what was built a moment ago.
    const after = await runProgram(`check-${name}`, ["tsc", "-b", "--force", project]);
    if (after.status !== 0 && expected.test(after.output)) return undefined;
    return { wrong: [`the compiler accepted it, or refused it for another reason: ${after.output}`] };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function nodeApi(): Verdict {
  const wrong = sources("native/**/*.{cc,h}")
    .filter((path) => path !== "native/addon.cc")
    .filter((path) => /^\s*#\s*include\s*[<"](node_api|js_native_api|node)\.h[>"]/m.test(read(path)))
    .map((path) => `${path} includes node_api.h`);
  return wrong.length === 0 ? undefined : { wrong };
}

function testImports(): Verdict {
  return importsInto("{src,tools,benchmarks,bin}/**/*.{ts,js,mjs}", (target) => target.startsWith("test/"));
}

function simulatorImports(): Verdict {
  return importsInto("test/sim/**/*.ts", (target) => /^src\/(runtime|cli)\//.test(target));
}

function nativeImports(): Verdict {
  const wrong = sources("{src,tools,benchmarks}/**/*.ts")
    // What makes packages must name the file that it packs.
    .filter((path) => path !== "src/runtime/early.ts" && !path.startsWith("tools/deb/"))
    .filter((path) => /["'`][^"'`\n]*\.node["'`]/.test(read(path)))
    .map((path) => `${path} names the addon`);
  return wrong.length === 0 ? undefined : { wrong };
}

function importsInto(pattern: string, forbidden: (target: string) => boolean): Verdict {
  const wrong: string[] = [];
  for (const path of sources(pattern)) {
    for (const match of read(path).matchAll(/(?:from|import)\s*\(?\s*["'](\.[^"']+)["']/g)) {
      const target = relative(ROOT, resolve(ROOT, dirname(path), match[1] as string));
      if (forbidden(target)) wrong.push(`${path} imports ${target}`);
    }
  }
  return wrong.length === 0 ? undefined : { wrong };
}

function lockfile(): Verdict {
  const lock = JSON.parse(read("package-lock.json")) as { packages: Record<string, { resolved?: string }> };
  const wrong = Object.entries(lock.packages)
    .filter(([, entry]) => entry.resolved !== undefined)
    .map(
      ([path, entry]) => `${path}: ${entry.resolved} (set omit-lockfile-registry-resolved=true in .npmrc)`,
    );
  return wrong.length === 0 ? undefined : { wrong };
}

function sources(pattern: string): string[] {
  return globSync(pattern, { cwd: ROOT }).filter((path) => !/(^|\/)(build|node_modules)\//.test(path));
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

if (import.meta.main) {
  const outcome = await runChecks(checks());
  for (const skip of outcome.skipped) console.log(`skipped: ${skip.name}: ${skip.why}`);
  for (const problem of outcome.failed) console.log(`wrong: ${problem}`);
  console.log(
    `${outcome.passed} in order, ${outcome.failed.length} wrong; logs in ${relative(ROOT, RESULTS)}/`,
  );
  process.exitCode = outcome.failed.length === 0 ? 0 : 1;
}
