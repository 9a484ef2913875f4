/** tcpdump on one device, read while it runs. */
import { readFileSync } from "node:fs";
import type { Namespace } from "./lab.ts";
import { decode, type IpPacket } from "./packet.ts";
import { PcapReader } from "./pcap.ts";
import type { Background } from "./shell.ts";

interface Look {
  readonly captured: number;
  readonly received: number;
  /** How often tcpdump had gone to sleep when it was asked. */
  readonly sleeps: number;
}

export class Capture {
  readonly packets: IpPacket[] = [];
  readonly device: string;
  readonly #program: Background;
  readonly #watchers = new Set<() => void>();

  private constructor(program: Background, device: string) {
    this.#program = program;
    this.device = device;
    const reader = new PcapReader();
    program.child.stdout.on("data", (chunk: Uint8Array) => {
      for (const frame of reader.push(chunk)) {
        const packet = decode(frame);
        if (packet !== undefined) this.packets.push(packet);
      }
      for (const watcher of [...this.#watchers]) watcher();
    });
  }

  /** Resolves when the device is being captured. `filter` is a pcap expression; `bytes` cuts each packet. */
  static async start(namespace: Namespace, device: string, filter = "", bytes = 0): Promise<Capture> {
    const program = namespace.spawn(
      [
        ...[
          "tcpdump",
          "-i",
          device,
          "-n",
          "-U",
          "--immediate-mode",
          "-B",
          "8192",
          "-s",
          `${bytes}`,
          "-w",
          "-",
        ],
        ...(filter === "" ? [] : [filter]),
      ],
      { raw: true },
    );
    const capture = new Capture(program, device);
    await program.line((line) => line.includes("listening on"));
    return capture;
  }

  /** The first packet that fits, among those captured already and those to come. */
  async until(test: (packet: IpPacket) => boolean, what: string, timeoutMillis = 10_000): Promise<IpPacket> {
    let seen = 0;
    return new Promise((resolve, reject) => {
      const look = (): void => {
        for (; seen < this.packets.length; seen++) {
          const packet = this.packets[seen] as IpPacket;
          if (!test(packet)) continue;
          this.#watchers.delete(look);
          clearTimeout(alarm);
          resolve(packet);
          return;
        }
      };
      const alarm = setTimeout(() => {
        this.#watchers.delete(look);
        reject(new Error(`no ${what} on ${this.device} within ${timeoutMillis} ms (${seen} other packets)`));
      }, timeoutMillis);
      this.#watchers.add(look);
      look();
    });
  }

  /** Ends the capture after everything on the wire has been read; gives all packets. */
  async stop(): Promise<readonly IpPacket[]> {
    // What its filter refuses late counts as received for ever: nothing more comes once tcpdump has gone to
    // sleep without having read a packet since.
    let before = { captured: -1, sleeps: -1 };
    for (let look = await this.#look(); look.captured < look.received; look = await this.#look()) {
      if (look.captured > before.captured) before = look;
      else if (look.sleeps > before.sleeps) break;
    }
    await this.#program.stop("SIGINT");
    return this.packets;
  }

  /** At the end tcpdump leaves what the kernel has captured and nobody has read; before, it tells how much that is. */
  async #look(): Promise<Look> {
    const { err } = this.#program;
    const said = err.length;
    const slept = sleeps(this.#program.child.pid);
    this.#program.signal("SIGUSR1");
    const counts = await this.#program.until(
      () => {
        const found = err
          .slice(said)
          .map((line) => /(\d+) packets? captured, (\d+) packets? received/.exec(line))
          .find((match) => match !== null);
        return found && { captured: Number(found[1]), received: Number(found[2]) };
      },
      10_000,
      () => `waiting for what tcpdump on ${this.device} has captured`,
    );
    return { ...counts, sleeps: slept };
  }
}

/** How often a process has gone to sleep by itself (voluntary context switches). */
function sleeps(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1]);
}
