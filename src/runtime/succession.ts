/** The end of a hipd that another one was announced for: what that needs goes to the service manager, and to a carrier meanwhile. */
import { err, ok, type Result } from "../core/types.ts";
import type { Driver } from "../driver/driver.ts";
import { Carrier, wrongCarrierPlace } from "./carrier.ts";
import type { SystemClock } from "./clock.ts";
import type { Problem } from "./control-convert.ts";
import type { Log } from "./log.ts";
import type { Network, NetworkSystem, SuspendedPlane } from "./network-port.ts";
import type { ServiceManager } from "./systemd.ts";
import { encodeControl, giveAway } from "./takeover.ts";

/** A restart that was announced comes within this time, in milliseconds. */
const ANNOUNCED_MILLIS = 30_000;

/** Jobs that run may end before associations are handed over; what takes longer begins anew. */
const JOBS_MILLIS = 100;

export interface SuccessionOptions {
  readonly system: Pick<NetworkSystem, "service" | "carriers">;
  readonly network: Pick<Network, "plane" | "suspend">;
  readonly service: Pick<ServiceManager, "present" | "store">;
  readonly clock: Pick<SystemClock, "now" | "boot">;
  readonly log: Log;
  readonly version: string;
}

export class Succession {
  readonly #options: SuccessionOptions;
  #until = Number.NEGATIVE_INFINITY;
  /** Where a carrier listens, if the next stop may use one. */
  #carrierSocket: string | undefined;
  #handedOver = false;

  constructor(options: SuccessionOptions) {
    this.#options = options;
  }

  /** As `ControlBackend.announceTakeover`. */
  announce(carrier?: string): Result<{ readonly seconds: number }, Problem> {
    const wrong = carrier === undefined ? undefined : wrongCarrierPlace(carrier);
    if (wrong !== undefined) return err({ code: "invalid", message: wrong });
    const { service, system, network } = this.#options;
    if (!service.present || system.service === undefined || network.suspend === undefined) {
      const message = "no service manager keeps what this hipd would hand over";
      return err({ code: "failed", message });
    }
    this.#until = performance.now() + ANNOUNCED_MILLIS;
    this.#carrierSocket = carrier;
    return ok({ seconds: ANNOUNCED_MILLIS / 1000 });
  }

  /** Whether a successor is expected now. */
  get announced(): boolean {
    return performance.now() < this.#until;
  }

  /** Whether it got everything: then nothing is left to wait for. */
  get handedOver(): boolean {
    return this.#handedOver;
  }

  /** To be called when a successor was announced, and nothing slow is left to do: soon packets wait. */
  handOver(driver: Pick<Driver, "handOver">): Promise<void> {
    const { service, clock, version, log, network } = this.#options;
    const native = this.#options.system.service as NonNullable<NetworkSystem["service"]>;
    const carrier = this.#reachCarrier();
    return new Promise<void>((resolve) =>
      driver.handOver(JOBS_MILLIS, (overlay) => {
        try {
          const control = { version, now: clock.now(), boot: clock.boot(), overlay };
          const answer = giveAway(service, native, {
            control: encodeControl(control),
            suspend: () => this.#suspended(),
            carrier,
          });
          this.#handedOver = true;
          if (answer !== undefined && answer.type !== "carrying")
            this.#notCarried(answer.type === "refused" ? answer.reason : "the carrier does not answer");
        } catch (error) {
          const reason = (error as Error).message;
          log.error("takeover-failed", "associations could not be handed over; they are made anew", {
            reason,
          });
          network.plane.close();
        }
        carrier?.close();
        resolve();
      }),
    );
  }

  #reachCarrier(): Carrier | undefined {
    const { carriers } = this.#options.system;
    if (this.#carrierSocket === undefined || carriers === undefined) return undefined;
    const reached = Carrier.reach(carriers, this.#carrierSocket, this.#options.version);
    if (!reached.ok) this.#notCarried(reached.error);
    return reached.ok ? reached.value : undefined;
  }

  #notCarried(reason: string): void {
    this.#options.log.warn("not-carried", "packets wait for the next hipd: no carrier goes on with them", {
      reason,
    });
  }

  #suspended(): SuspendedPlane {
    const suspended = this.#options.network.suspend?.();
    if (suspended === undefined) throw new Error("the data plane has ended");
    return suspended;
  }
}
