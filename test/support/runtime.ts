/** What the runtime's tests need of a machine: a folder of their own, a data plane in memory, a log that can be read. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Hit, Lsi, Path, Spi } from "../../src/core/types.ts";
import type { DataPlane, DataPlaneEvent, Route } from "../../src/driver/ports.ts";
import type { SaSpec } from "../../src/hip/sa.ts";
import { createLog, type Log } from "../../src/runtime/log.ts";
import type { Network, NetworkOptions, NetworkSystem, PeerSource } from "../../src/runtime/network-port.ts";
import { localAddress } from "./overlay.ts";

const folders: string[] = [];
process.once("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is removed when the tests have ended. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "hipd-test-"));
  folders.push(folder);
  return folder;
}

/** Carries HIP packets between planes of the same medium by their addresses; never any user packet. */
export class Medium {
  readonly planes = new Map<string, FakePlane>();
}

export class FakePlane implements DataPlane {
  readonly address: string;
  readonly medium: Medium;
  readonly sas: SaSpec[] = [];
  readonly routes = new Map<Hit, Route>();
  readonly aliases = new Map<Lsi, Hit | undefined>();
  onReady: () => void = () => {};
  closed = false;
  #events: DataPlaneEvent[] = [];

  constructor(address: string, medium: Medium) {
    this.address = address;
    this.medium = medium;
    medium.planes.set(address, this);
  }

  source(): string {
    return this.address;
  }
  send(path: Path, bytes: Uint8Array): void {
    const { carrier, local, remote } = path;
    const copy = bytes.slice();
    this.medium.planes.get(remote.address)?.deliver({
      type: "control",
      path: { carrier, local: remote, remote: { ...local, address: this.address } },
      bytes: copy,
    });
  }
  deliver(event: DataPlaneEvent): void {
    if (this.closed) return;
    this.#events.push(event);
    if (this.#events.length === 1) setImmediate(() => this.onReady());
  }
  addSa(sa: SaSpec): void {
    this.sas.push(sa);
  }
  setPath(): void {}
  probe(): void {}
  setPathMtu(): void {}
  shun(): void {}
  dropSa(spi: Spi, direction: "in" | "out"): void {
    const at = this.sas.findIndex((sa) => sa.spi === spi && sa.direction === direction);
    if (at >= 0) this.sas.splice(at, 1);
  }
  route(peer: Hit, via: Route): void {
    this.routes.set(peer, via);
  }
  alias(lsi: Lsi, peer: Hit | undefined): void {
    this.aliases.set(lsi, peer);
  }
  ping(_localHit: Hit, peer: Hit, sequence: number): void {
    this.deliver({ type: "echo-reply", peer, sequence, rttMicros: 412 });
  }
  drain(max: number): readonly DataPlaneEvent[] {
    return this.#events.splice(0, max);
  }
  associations() {
    return this.sas
      .filter((sa) => sa.direction === "out")
      .map((sa) => ({
        peer: sa.peerHit,
        outSpi: sa.spi,
        inSpi: undefined,
        txPackets: 3,
        txBytes: 300,
        rxPackets: 2,
        rxBytes: 200,
        pathMtu: 1500,
      }));
  }
  counters(): Readonly<Record<string, number>> {
    return { esp_tx_packets_total: 3, drop_replay_total: 1, queue_hold_depth: 0 };
  }
  close(): void {
    this.closed = true;
    this.medium.planes.delete(this.address);
  }
}

/** A network system whose interface is a `FakePlane`. */
export class FakeNetwork implements NetworkSystem {
  readonly plane: FakePlane;
  opened: NetworkOptions | undefined;
  hits: readonly Hit[] = [];
  sources: readonly PeerSource[] = [];

  constructor(address: string, medium = new Medium()) {
    this.plane = new FakePlane(address, medium);
  }

  open(options: NetworkOptions): { readonly ok: true; readonly value: Network } {
    this.opened = options;
    this.hits = options.hits;
    this.plane.deliver({ type: "addresses", local: [localAddress(this.plane.address)] });
    const setIdentities = (hits: readonly Hit[]): void => {
      this.hits = hits;
    };
    const setSources = (sources: readonly PeerSource[]): void => {
      this.sources = sources;
    };
    return { ok: true, value: { plane: this.plane, setIdentities, setSources } };
  }
  guard() {
    return { ok: true, value: undefined } as const;
  }
  teardown() {
    return { ok: true, value: undefined } as const;
  }
}

/** A log whose lines are kept as values. */
export function memoryLog(): { readonly log: Log; readonly lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const sink = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  return { log: createLog({ level: "debug", format: "json", color: false }, sink), lines };
}

export function write(folder: string, name: string, text: string, mode = 0o644): string {
  const file = join(folder, name);
  writeFileSync(file, text, { mode });
  return file;
}
