/** A driver around an overlay in which nothing happens: for what it counts. */
import type { Instant } from "../../src/core/types.ts";
import { ok } from "../../src/core/types.ts";
import { Driver } from "../../src/driver/driver.ts";
import { Bench } from "./overlay.ts";
import { FakePlane, Medium } from "./runtime.ts";

export function overlayBench(): { readonly driver: Driver } {
  const driver = new Driver({
    overlay: new Bench().overlay,
    plane: new FakePlane("192.0.2.1", new Medium()),
    jobs: { run: () => undefined },
    clock: { now: () => 1000 as Instant, wall: () => 1_900_000_001_000 },
    alarm: { set: () => undefined },
    shell: {
      saveState: () => undefined,
      persistPeer: (_peer, done) => done(ok("")),
      unpersistPeer: (_peer, done) => done(ok("")),
      event: () => undefined,
      identities: () => undefined,
      defer: () => undefined,
    },
  });
  return { driver };
}
