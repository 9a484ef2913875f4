/** Stories told through the simulator: two or three machines, a quiet network, and what the story does to them. */
import { expect } from "vitest";
import type { InnerFamily } from "../../src/hip/sa.ts";
import type { ControlReply, ControlRequest } from "../../src/overlay/control.ts";
import type { Daemon } from "../sim/daemon.ts";
import type { Packet } from "../sim/network.ts";
import { describe as describePacket } from "../sim/trace.ts";
import { World, type WorldOptions } from "../sim/world.ts";

export class Story {
  readonly world: World;

  constructor(options: WorldOptions = {}) {
    this.world = new World("story", { hosts: 2, plain: true, ...options });
  }

  get alice(): Daemon {
    return this.world.daemon("alice");
  }
  get bob(): Daemon {
    return this.world.daemon("bob");
  }
  get carol(): Daemon {
    return this.world.daemon("carol");
  }

  begin(): this {
    this.world.bootAll();
    this.world.run(100);
    return this;
  }

  run(millis: number): void {
    this.world.run(millis);
  }

  /** `a` says something and goes on trying; the milliseconds until `b` has heard it. */
  reaches(a: Daemon, b: Daemon, within = 60_000, family: InnerFamily = "hit"): number {
    const since = this.world.queue.now;
    const heard = (): boolean => (this.world.heard(a, b) ?? -1) > since;
    while (!heard() && this.world.queue.now < since + within) {
      this.world.say(a, b, family);
      this.world.run(500, heard);
    }
    expect(heard(), `${a.name} reaches ${b.name} within ${within} ms`).toBe(true);
    return this.world.queue.now - since;
  }

  talk(a: Daemon, b: Daemon, within?: number): void {
    this.reaches(a, b, within);
    this.reaches(b, a, within);
  }

  /** The HIP packets that were sent, by name, in order: `alice I1`. */
  packets(): readonly string[] {
    return this.world.trace.records
      .filter(({ note, what }) => note === "sent" && !what.startsWith("ESP"))
      .map(({ from, what }) => `${from} ${what}`);
  }

  /** Loses the first `count` packets whose name is one of these. */
  lose(count: number, ...names: readonly string[]): void {
    let left = count;
    this.world.network.loses = (packet) => {
      if (left === 0 || !names.includes(nameOf(packet))) return false;
      left--;
      return true;
    };
  }

  /** What a daemon answers in the end. */
  ask(daemon: Daemon, request: ControlRequest, within = 60_000): readonly ControlReply[] {
    const replies: ControlReply[] = [];
    let ended = false;
    daemon.request(request, within, (reply, last) => {
      replies.push(reply);
      ended ||= last;
    });
    this.world.run(within, () => ended);
    expect(ended, `${request.type} is answered`).toBe(true);
    return replies;
  }

  state(a: Daemon, b: Daemon): string {
    const hit = this.world.hitOf(a, b);
    return (hit === undefined ? undefined : a.overlay?.host.association(hit)?.state) ?? "UNASSOCIATED";
  }

  events(daemon: Daemon, name: string): number {
    return daemon.events.filter((event) => event.name === name).length;
  }

  /** To be called at the end of each story. */
  sound(): void {
    for (const daemon of this.world.daemons) this.world.invariants.examine(daemon);
    expect(this.world.invariants.breaches).toEqual([]);
  }
}

export function nameOf(packet: Packet): string {
  return packet.payload.kind === "esp" ? "ESP" : describePacket(packet.payload.bytes).replace(/\(.*/, "");
}
