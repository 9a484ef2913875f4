/** Applications that keep one connection for a long time: a plain TCP stream, ssh, PostgreSQL. */
import {
  chmodSync,
  chownSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Namespace } from "../../tools/lab/lab.ts";
import type { Background } from "../../tools/lab/shell.ts";
import { run } from "../../tools/lab/shell.ts";

const SSH_PORT = 2222;
const POSTGRES_PORT = 5433;
/** uid and gid of "nobody" in Debian. */
const NOBODY = 65534;

/** An open connection to the other host. */
export class Session {
  readonly name: string;
  readonly #program: Background;
  readonly #ask: (word: string) => string;
  #words = 0;

  constructor(name: string, program: Background, ask: (word: string) => string = (word) => word) {
    this.name = name;
    this.#program = program;
    this.#ask = ask;
  }

  /** Says something new; gives the line that came back. */
  say(timeoutMillis = 20_000): Promise<string> {
    const word = `${this.name}-${this.#words++}-`;
    this.#program.child.stdin.write(`${this.#ask(word)}\n`);
    return this.#program.until(
      () => this.#program.out.find((line) => line.includes(word)),
      timeoutMillis,
      () => `waiting for the answer of ${this.name}; it said: ${this.#program.err.slice(-5).join(" ")}`,
    );
  }
}

export interface Kind {
  readonly name: string;
  /** Why there is none here; undefined when there is. */
  readonly missing: string | undefined;
  open(client: Namespace, server: Namespace, address: string, folder: string): Promise<Session>;
}

function find(...places: readonly string[]): string | undefined {
  return places.flatMap((place) => globSync(place)).find((path) => existsSync(path));
}

const dropbear = find("/usr/sbin/dropbear");
const ssh = find("/usr/bin/ssh");

const SSH: Kind = {
  name: "ssh",
  missing: dropbear === undefined || ssh === undefined ? "needs dropbear-bin and openssh-client" : undefined,
  async open(client, server, address, folder) {
    const home = join(folder, "home");
    mkdirSync(join(home, ".ssh"), { recursive: true, mode: 0o700 });
    const [host, key] = [join(folder, "ssh-host"), join(folder, "ssh-key")];
    await run(["dropbearkey", "-t", "ed25519", "-f", host]);
    await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]);
    writeFileSync(join(home, ".ssh/authorized_keys"), readFileSync(`${key}.pub`), { mode: 0o600 });
    // The machine's own home of root is none of our business.
    const users = readFileSync("/etc/passwd", "utf8").replace(
      /^root:.*$/m,
      `root:x:0:0:root:${home}:/bin/sh`,
    );
    server.etc("passwd", users);
    const serving = server.spawn([
      // A session whose peer is gone for good ends by itself.
      ...[dropbear as string, "-F", "-E", "-s", "-K", "60", "-r", host],
      ...["-p", `[::]:${SSH_PORT}`, "-P", join(folder, "dropbear.pid")],
    ]);
    await serving.line((line) => line.includes("Not backgrounding"));
    const options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"];
    const program = client.spawn([
      ...[ssh as string, "-T", "-F", "none", "-i", key, "-p", `${SSH_PORT}`],
      ...options.flatMap((option) => ["-o", option]),
      ...[`root@${address}`, "cat"],
    ]);
    return new Session("ssh", program);
  },
};

const postgres = find("/usr/lib/postgresql/*/bin/postgres");
const psql = find("/usr/bin/psql");

const POSTGRES: Kind = {
  name: "PostgreSQL",
  missing: postgres === undefined || psql === undefined ? "needs postgresql" : undefined,
  async open(client, server, address) {
    // Its server does not run as root, so that it needs a folder of its own.
    const folder = mkdtempSync(join(tmpdir(), "hipd-postgres-"));
    chmodSync(folder, 0o700);
    chownSync(folder, NOBODY, NOBODY);
    const user = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
    const data = join(folder, "data");
    const initdb = join(postgres as string, "../initdb");
    await run([...user, initdb, "-N", "-A", "trust", "-U", "tester", "-D", data], { timeoutMillis: 60_000 });
    writeFileSync(join(data, "pg_hba.conf"), "host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n");
    const settings = [`port=${POSTGRES_PORT}`, "listen_addresses=*", "unix_socket_directories=", "fsync=off"];
    const serving = server.spawn([
      ...[...user, postgres as string, "-D", data],
      ...settings.flatMap((setting) => ["-c", setting]),
    ]);
    void serving.ended().then(() => rmSync(folder, { recursive: true, force: true }));
    await serving.line((line) => line.includes("ready to accept connections"), 30_000);
    const program = client.spawn([
      ...[psql as string, "-h", address, "-p", `${POSTGRES_PORT}`, "-U", "tester", "-d", "postgres"],
      ...["-A", "-t", "-q", "-X"],
    ]);
    // The server's process belongs to this connection alone.
    return new Session("PostgreSQL", program, (word) => `select '${word}' || pg_backend_pid();`);
  },
};

const PLAIN: Kind = {
  name: "TCP",
  missing: undefined,
  async open(client, server, address) {
    const echo = `require("node:net").createServer((s) => s.pipe(s)).listen(7007, "::", () => console.log("listening"))`;
    const serving = server.spawn([process.execPath, "-e", echo]);
    await serving.line((line) => line === "listening");
    const talk = `const s = require("node:net").connect(7007, "${address}"); process.stdin.pipe(s).pipe(process.stdout)`;
    return new Session("TCP", client.spawn([process.execPath, "-e", talk]));
  },
};

export const KINDS: readonly Kind[] = [PLAIN, SSH, POSTGRES];
