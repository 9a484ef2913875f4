/**
 * What comes to overlay addresses beside the overlay. Linux takes what is addressed to one of its own addresses by whatever interface it
 * comes: somebody on the same link could reach what listens on a HIT or LSI in the clear, in any peer's name. One table of nftables for
 * all overlays of a host keeps that out. It stays when the daemon ends, as the guarding routes do.
 */
import { spawn, spawnSync } from "node:child_process";
import { formatPrefix, HIT_PREFIX, type Prefix } from "../core/ip.ts";

export interface Door {
  readonly interface: string;
  readonly lsiPrefix: Prefix;
}

const FAMILY_AND_NAME = ["inet", "hipd"] as const;
const TABLE = FAMILY_AND_NAME.join(" ");
/** Debian keeps it where users' PATHs do not lead. */
const PATHS = "/usr/sbin:/sbin:/usr/bin:/bin";
const TIMEOUT_MILLIS = 5_000;

/** Adds one overlay. Doing it again changes nothing, and no packet passes meanwhile. */
export function rules({ interface: name, lsiPrefix }: Door): string {
  const hits = formatPrefix(HIT_PREFIX);
  return [
    `table ${TABLE} {`,
    "  set interfaces { type ifname; }",
    "  set lsis { type ipv4_addr; flags interval; auto-merge; }",
    "  chain beside { type filter hook input priority raw; }",
    "}",
    `flush chain ${TABLE} beside`,
    `add element ${TABLE} interfaces { "lo", "${name}" }`,
    `add element ${TABLE} lsis { ${formatPrefix(lsiPrefix)} }`,
    `table ${TABLE} {`,
    "  chain beside {",
    "    iifname @interfaces accept",
    `    ip6 daddr ${hits} counter drop`,
    "    ip daddr @lsis counter drop",
    `    ip6 saddr ${hits} counter drop`,
    "    ip saddr @lsis counter drop",
    "  }",
    "}",
    "",
  ].join("\n");
}

/** Sets the rules; `done` gets what went wrong, in words. */
export function keepOut(door: Door, done: (problem: string | undefined) => void): void {
  const nft = spawn("nft", ["-f", "-"], { env: { PATH: PATHS }, timeout: TIMEOUT_MILLIS });
  let said = "";
  nft.stderr.on("data", (chunk: Buffer) => {
    said = `${said}${chunk.toString()}`.slice(0, 500);
  });
  // What cannot be started cannot be written to either: "error" tells of both.
  nft.stdin.on("error", () => {});
  let failed: string | undefined;
  nft.on("error", (error) => {
    failed = problem(error, said);
    done(failed);
  });
  nft.on("close", (status) => {
    if (failed === undefined) done(status === 0 ? undefined : problem(undefined, said));
  });
  nft.stdin.end(rules(door));
}

/** The same, waiting for it. */
export function keepOutNow(door: Door): string | undefined {
  const { error, status, stderr } = run(["-f", "-"], rules(door));
  return error === undefined && status === 0 ? undefined : problem(error, stderr);
}

/** Takes one overlay out again, and the table with the last one. What is not there is no error. */
export function letIn({ interface: name }: Pick<Door, "interface">): void {
  run(["delete", "element", ...FAMILY_AND_NAME, "interfaces", `{ "${name}" }`]);
  const left = run(["-j", "list", "set", ...FAMILY_AND_NAME, "interfaces"]).stdout;
  if (/"elem": *\["lo"\]/.test(left)) run(["delete", "table", ...FAMILY_AND_NAME]);
}

function run(args: readonly string[], input = "") {
  const options = { input, env: { PATH: PATHS }, timeout: TIMEOUT_MILLIS, encoding: "utf8" as const };
  return spawnSync("nft", args, options);
}

function problem(error: Error | undefined, said: string): string {
  const why =
    error === undefined
      ? `nft says: ${said.trim().split("\n")[0] ?? ""}`
      : (error as NodeJS.ErrnoException).code === "ENOENT"
        ? "nft is missing; install nftables"
        : error.message;
  return `packets that come to overlay addresses beside the overlay are not kept out: ${why}`;
}
