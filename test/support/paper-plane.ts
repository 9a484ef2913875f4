/** A data plane on paper, for tests of who gives it orders. */
import type { Hit, Path, Spi } from "../../src/core/types.ts";
import type { DataPlane, DataPlaneEvent } from "../../src/driver/ports.ts";
import type { SaSpec } from "../../src/hip/sa.ts";
import { BOB } from "./overlay.ts";

/** Writes down its calls. */
export class PaperPlane implements DataPlane {
  onReady: () => void = () => undefined;
  readonly calls: string[] = [];
  readonly sent: { readonly path: Path; readonly bytes: Uint8Array }[] = [];
  readonly sas: SaSpec[] = [];
  waiting: DataPlaneEvent[] = [];
  drains = 0;
  sourceAddress: string | undefined = "192.0.2.1";

  source(): string | undefined {
    return this.sourceAddress;
  }
  send(path: Path, bytes: Uint8Array): void {
    this.sent.push({ path, bytes });
    this.calls.push("send");
  }
  addSa(sa: SaSpec): void {
    this.sas.push(sa);
    this.calls.push("addSa");
  }
  probe(): void {}
  setPathMtu(): void {}
  shun(address: string, millis: number): void {
    this.calls.push(`shun ${address} ${millis}`);
  }
  setPath(_peer: Hit, spi: Spi, path: Path): void {
    this.calls.push(`setPath ${spi} ${path.local.address}`);
  }
  dropSa(spi: Spi, direction: string): void {
    this.calls.push(`dropSa ${spi} ${direction}`);
  }
  route(_peer: Hit, via: unknown): void {
    this.calls.push(`route ${via}`);
  }
  alias(): void {
    this.calls.push("alias");
  }
  ping(_local: Hit, _peer: Hit, _sequence: number, bytes: number): void {
    this.calls.push(`ping ${bytes}`);
  }
  drain(max: number): readonly DataPlaneEvent[] {
    this.drains++;
    return this.waiting.splice(0, max);
  }
  associations(): ReturnType<DataPlane["associations"]> {
    return [
      {
        peer: BOB,
        outSpi: undefined,
        inSpi: undefined,
        txPackets: 1,
        txBytes: 100,
        rxPackets: 2,
        rxBytes: 200,
        pathMtu: 1500,
      },
    ];
  }
  counters(): Readonly<Record<string, number>> {
    return { udp_packets_total: 7 };
  }
  close(): void {
    this.calls.push("close");
  }
}
