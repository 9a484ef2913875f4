/**
 * A host with the native data plane and no control plane: SAs come from the test. One JSON line a command on standard input
 * (`{ id, op, args }`), one a result or an event on standard output. Byte strings are `{ hex }`.
 */
import { createInterface } from "node:readline";
import { fromHex, toHex } from "../../src/core/bytes.ts";
import { parsePrefix } from "../../src/core/ip.ts";
import type { Hit, Lsi } from "../../src/core/types.ts";
import type { NativePlane } from "../../src/runtime/native.ts";
import { NATIVE_NETWORK } from "../../src/runtime/network.ts";
import type { PeerSource } from "../../src/runtime/network-port.ts";

export interface PlaneHostOptions {
  readonly hit: Hit;
  readonly lsi: Lsi;
  readonly workers: number;
  readonly lsiPrefix: string;
  /** Everything by default. */
  readonly offloads?: readonly ("tso" | "uso" | "gso" | "gro")[];
}

const options = JSON.parse(process.argv[2] as string) as PlaneHostOptions;
const prefix = parsePrefix(options.lsiPrefix);
if (!prefix.ok) throw new Error(prefix.error);

function say(value: unknown): void {
  const text = JSON.stringify(value, (_, one) => (one instanceof Uint8Array ? { hex: toHex(one) } : one));
  process.stdout.write(`${text}\n`);
}

const opened = NATIVE_NETWORK.open({
  interface: "hip0",
  port: 10500,
  lsiPrefix: prefix.value,
  mtu: 0,
  workers: options.workers,
  ...(options.offloads === undefined ? {} : { offloads: options.offloads }),
  lsi: options.lsi,
  hits: [options.hit],
  preferred: options.hit,
  plainIp: false,
  log: (level, message) => say({ log: level, message }),
});
if (!opened.ok) {
  say({ failed: opened.error });
  process.exit(1);
}
const network = opened.value;
const plane = network.plane as NativePlane;
plane.onReady = () => {
  for (const event of plane.drain(1000)) say({ event });
};
say({ up: true });

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { id, op, args } = JSON.parse(line, (_, one) =>
      typeof one?.hex === "string" ? fromHex(one.hex) : one,
    ) as { id: number; op: string; args: readonly unknown[] };
    if (op === "setSources") {
      network.setSources?.(args[0] as readonly PeerSource[]);
      return say({ id, result: null });
    }
    const method = plane[op as keyof NativePlane] as (...args: readonly unknown[]) => unknown;
    say({
      id,
      result:
        method.apply(
          plane,
          args.map((one) => one ?? undefined),
        ) ?? null,
    });
  })
  .on("close", () => plane.close());
