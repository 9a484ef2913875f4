/**
 * A machine of its own on top of this one: a copy-on-write view of the root file system, processes and mounts of its own, in a
 * namespace of the laboratory. What it writes is in memory and gone with it. No init system runs inside.
 */
import { join } from "node:path";
import type { Lab, Namespace } from "./lab.ts";
import { attempt, type Ended, type RunOptions, run } from "./shell.ts";

const ROOT = join(import.meta.dirname, "../..");

/** `$1`: an empty folder; `$2`: the checkout, which may lie on another file system than the root. */
const SETUP = `
  set -e
  mount --make-rprivate /
  mount -t tmpfs tmpfs "$1"
  mkdir "$1/upper" "$1/work" "$1/root"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
  mount -t proc proc "$1/root/proc"
  mount --rbind /dev "$1/root/dev"
  mount --rbind /sys "$1/root/sys"
  mount -t tmpfs tmpfs "$1/root/run"
  mount -t tmpfs tmpfs "$1/root/tmp"
  mkdir -p "$1/root$2"
  mount --rbind "$2" "$1/root$2"
  # The /proc of outside still knows this process by its number there.
  read -r pid rest </proc/self/stat
  echo "ready $pid"
  exec sleep infinity
`;

/** unshare itself does not listen to SIGTERM. */
const ENDABLE = '"$@" & inner=$!; trap "kill -KILL $inner" TERM; wait $inner';

export class Guest {
  readonly namespace: Namespace;
  readonly #root: string;
  readonly #pid: string;

  private constructor(namespace: Namespace, root: string, pid: string) {
    this.namespace = namespace;
    this.#root = root;
    this.#pid = pid;
  }

  static async start(lab: Lab, namespace: Namespace): Promise<Guest> {
    const folder = join(lab.folder, `guest-${namespace.label}`);
    await run(["mkdir", folder]);
    const unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"];
    const setup = [...unshare, "sh", "-c", SETUP, "sh", folder, ROOT];
    const init = namespace.spawn(["sh", "-c", ENDABLE, "sh", ...setup]);
    const ready = await init.line((line) => line.startsWith("ready "));
    const pid = ready.slice("ready ".length);
    return new Guest(namespace, join(folder, "root"), pid);
  }

  attempt(command: readonly string[], options?: RunOptions): Promise<Ended> {
    return attempt(this.#inside(command), options);
  }

  run(command: readonly string[], options?: RunOptions): Promise<string> {
    return run(this.#inside(command), options);
  }

  async write(file: string, text: string, mode = "0644"): Promise<void> {
    await this.run(
      ["sh", "-ec", 'mkdir -p "$(dirname "$1")"; cat > "$1"; chmod "$2" "$1"', "sh", file, mode],
      {
        input: text,
      },
    );
  }

  read(file: string): Promise<string> {
    return this.run(["cat", file]);
  }

  #inside(command: readonly string[]): string[] {
    const enter = ["nsenter", "--target", this.#pid, "--mount", "--net", "--pid"];
    return [...enter, "chroot", this.#root, ...command];
  }
}
