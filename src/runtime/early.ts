/**
 * The first thing that a hipd does: it goes on with the data plane that its predecessor left with the service manager. Packets wait
 * meanwhile, and each module that is loaded costs a millisecond or two: so this one has none of ours beneath it.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Addon, Handle } from "./native-addon.ts";
import type { ServiceAddon } from "./native-service.ts";

/** Names in the descriptor store. Those of queues and sockets are numbered. */
export const STORED = {
  plane: "hipd-plane",
  control: "hipd-control",
  ticket: "hipd-ticket",
  tun: "hipd-tun-",
  udp: "hipd-udp-",
  /** The connection with a carrier that holds what the others would be. */
  carrier: "hipd-carry",
} as const;

/** A descriptor that the manager kept while no hipd was running. */
export interface StoredDescriptor {
  readonly name: string;
  readonly fd: number;
}

/** The first descriptor that a service gets. */
const FIRST_DESCRIPTOR = 3;
/** More are a mistake. */
const MAX_DESCRIPTORS = 1_024;

let loaded: Addon | undefined;

/** Loads native/build/hipd_native.node of this installation. Throws with what to do when it is not built. */
export function addon(): Addon {
  loaded ??= createRequire(import.meta.url)(findAddon()) as Addon;
  return loaded;
}

function findAddon(): string {
  const name = join("native", "build", "hipd_native.node");
  // From src/runtime as well as from dist/src/runtime.
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let i = 0; i < 4; i++) {
    folder = dirname(folder);
    if (existsSync(join(folder, name))) return join(folder, name);
  }
  throw new Error(`the native data plane is not built (${name} is missing): run "make native"`);
}

/**
 * The descriptors that the manager kept, in its order, closed when another program is executed (sd_listen_fds(3)). Removes the
 * variables, so that nobody takes them twice. A descriptor that is not open is left out.
 */
export function takeDescriptors(
  environment: Record<string, string | undefined>,
  closeOnExec: (fd: number) => void,
  pid: number = process.pid,
): readonly StoredDescriptor[] {
  const count = Number(environment["LISTEN_FDS"] ?? 0);
  const mine = environment["LISTEN_PID"] === String(pid);
  const names = (environment["LISTEN_FDNAMES"] ?? "").split(":");
  for (const name of ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"]) delete environment[name];
  if (!mine || !Number.isInteger(count) || count < 1 || count > MAX_DESCRIPTORS) return [];
  const found: StoredDescriptor[] = [];
  for (let i = 0; i < count; i++) {
    const fd = FIRST_DESCRIPTOR + i;
    try {
      closeOnExec(fd);
    } catch {
      continue;
    }
    found.push({ name: names[i] || "unknown", fd });
  }
  return found;
}

/** A data plane that runs, and whose owner is still to be loaded. */
export interface Begun {
  /** As `Addon.resume` gave it. */
  readonly plane: readonly [Handle, ...string[]];
  /** Tells of events from now on, and of those that came already. */
  readonly onEvents: (notify: () => void) => void;
}

/** The predecessor's control part, and the plane to which the TUN queues and sockets belong now; or why nothing was taken. */
export type Outcome =
  | {
      readonly ok: true;
      readonly begun: Begun;
      readonly controlFd: number;
      readonly used: ReadonlySet<number>;
      /** By a carrier: its own gap, and how long it had it. */
      readonly carried?: { readonly gapMicros: number; readonly millis: number };
    }
  | { readonly ok: false; readonly reason: string };

export interface Early {
  readonly stored: readonly StoredDescriptor[];
  /** To be asked once, when everything is loaded: what a carrier has is taken then. What was in the store goes on already. */
  readonly outcome: () => Outcome;
}

/** What a predecessor left, on its way again; undefined: nothing. */
export async function resumeFirst(
  environment: Record<string, string | undefined>,
): Promise<Early | undefined> {
  if (environment["LISTEN_FDS"] === undefined) return undefined;
  const native = addon() as unknown as ServiceAddon;
  const stored = takeDescriptors(environment, native.closeOnExec);
  if (stored.length === 0) return undefined;
  if (stored.some(({ name }) => name === STORED.carrier)) {
    const { resumeCarried } = await import("./carried.ts");
    return { stored, outcome: resumeCarried(stored) };
  }
  const taken = resume(stored);
  return { stored, outcome: () => taken };
}

export const refuse = (reason: string): Outcome => ({ ok: false, reason });

/** The descriptors that were stored by this name. */
export function named(stored: readonly StoredDescriptor[], name: string): readonly number[] {
  return stored.filter((one) => one.name === name).map(({ fd }) => fd);
}

/** Takes the tickets, before anything else: from here on nobody else goes on with these sequence numbers. */
export function claim(stored: readonly StoredDescriptor[]): "ours" | "taken" | "none" {
  const native = addon() as unknown as ServiceAddon;
  const tickets = named(stored, STORED.ticket);
  if (tickets.length === 0) return "none";
  return tickets.map((fd) => native.takeTicket(fd)).every((one) => one) ? "ours" : "taken";
}

/** Takes what is whole and was not taken before. */
export function resume(stored: readonly StoredDescriptor[], already?: "ours"): Outcome {
  const of = (name: string): readonly number[] => named(stored, name);
  try {
    const claimed = already ?? claim(stored);
    const [[planeFd, ...planes], [controlFd, ...controls]] = [of(STORED.plane), of(STORED.control)];
    if (claimed === "none" || planeFd === undefined || controlFd === undefined)
      return refuse("it is not complete");
    // An older one that the manager did not forget has numbers that were used since, and the newer one's ticket would let it pass.
    if (of(STORED.ticket).length + planes.length + controls.length > 1)
      return refuse("more than one hipd has left something");
    if (claimed === "taken") return refuse("another hipd has taken it already");
    const tunFds = numbered(stored, STORED.tun);
    const udpFds = numbered(stored, STORED.udp);
    const begun = begin(planeFd, tunFds, udpFds);
    return { ok: true, begun, controlFd, used: new Set([...tunFds, ...udpFds]) };
  } catch (error) {
    return refuse((error as Error).message);
  }
}

/** A data plane in sealed memory goes on, by whoever has its ticket. @throws Error; then the descriptors are still the caller's. */
export function begin(planeFd: number, tunFds: readonly number[], udpFds: readonly number[]): Begun {
  const native = addon() as Addon & ServiceAddon;
  const blob = native.readSealed(planeFd);
  let missed = false;
  let listener = (): void => {
    missed = true;
  };
  try {
    const plane = native.resume(blob, tunFds, udpFds, () => listener());
    const onEvents = (notify: () => void): void => {
      listener = notify;
      if (missed) queueMicrotask(notify);
    };
    return { plane, onEvents };
  } finally {
    blob.fill(0);
  }
}

function numbered(stored: readonly StoredDescriptor[], prefix: string): readonly number[] {
  return stored
    .filter(({ name }) => name.startsWith(prefix))
    .toSorted((a, b) => Number(a.name.slice(prefix.length)) - Number(b.name.slice(prefix.length)))
    .map(({ fd }) => fd);
}
