/**
 * The first thing that a hipd does: it goes on with the data plane that its predecessor left with the service manager, so that packets
 * wait as shortly as can be. Loads little, and only when there is something.
 */
import { err, ok, type Result } from "../core/types.ts";
import type { NativeLog, NativePlane } from "./native.ts";
import type { ServiceManager, StoredDescriptor } from "./systemd.ts";
import type { HandedControl } from "./takeover.ts";

export interface Inheritance {
  /** Runs already. Its events wait. */
  readonly plane: NativePlane;
  readonly control: HandedControl;
  /** Lines about the data plane: those that came before there was a log, and later ones. */
  readonly listen: (log: NativeLog) => void;
  /** Microseconds for which nobody served the interface and the sockets. */
  readonly gapMicros: number;
}

/**
 * What a predecessor left; undefined: nothing. An error says why it is not taken: then its descriptors are closed, in the store, too,
 * and everything begins anew.
 */
export async function inherit(
  environment: Record<string, string | undefined>,
): Promise<Result<Inheritance, string> | undefined> {
  if (environment["LISTEN_FDS"] === undefined) return undefined;
  const { takeDescriptors, serviceManager } = await import("./systemd.ts");
  const { serviceAddon } = await import("./native-service.ts");
  const native = serviceAddon();
  const stored = takeDescriptors(environment, native.closeOnExec);
  if (stored.length === 0) return undefined;
  const service = serviceManager(environment, native.notify);
  const used = new Set<number>();
  const taken = await take(stored, used).catch((error: unknown) => err((error as Error).message));
  for (const { fd } of stored) if (!used.has(fd)) native.closeFd(fd);
  forget(service, stored);
  return taken;
}

/** Takes what is whole and was not taken before; the descriptors in `used` belong to the data plane then. */
export async function take(
  stored: readonly StoredDescriptor[],
  used: Set<number>,
): Promise<Result<Inheritance, string>> {
  const { serviceAddon } = await import("./native-service.ts");
  const { STORED } = await import("./stored.ts");
  const { NativePlane } = await import("./native.ts");
  const native = serviceAddon();
  const of = (name: string): readonly number[] =>
    stored.filter((one) => one.name === name).map(({ fd }) => fd);
  const tickets = of(STORED.ticket);
  // Before anything else: from here on nobody else goes on with these sequence numbers.
  const first = tickets.map((ticket) => native.takeTicket(ticket)).every((one) => one);
  const [[planeFd, ...planes], [controlFd, ...controls]] = [of(STORED.plane), of(STORED.control)];
  if (tickets.length === 0 || planeFd === undefined || controlFd === undefined)
    return err("it is not complete");
  // An older one that the manager did not forget has numbers that were used since, and the newer one's ticket would let it pass.
  if (tickets.length + planes.length + controls.length > 1)
    return err("more than one hipd has left something");
  if (!first) return err("another hipd has taken it already");
  const notes: Parameters<NativeLog>[] = [];
  let log: NativeLog = (...note) => void notes.push(note);
  const tunFds = numbered(stored, STORED.tun);
  const udpFds = numbered(stored, STORED.udp);
  const blob = native.readSealed(planeFd);
  const plane = NativePlane.resume({ blob, tunFds, udpFds }, (...note) => log(...note));
  blob.fill(0);
  for (const fd of [...tunFds, ...udpFds]) used.add(fd);
  // Packets flow again. The rest takes longer to read, and may still be refused.
  const { readControl } = await import("./takeover.ts");
  const control = readControl(native.readSealed(controlFd));
  if (!control.ok) {
    plane.close();
    return control;
  }
  const listen = (listener: NativeLog): void => {
    log = listener;
    for (const note of notes) listener(...note);
  };
  return ok({ plane, control: control.value, listen, gapMicros: plane.gapMicros() });
}

function numbered(stored: readonly StoredDescriptor[], prefix: string): readonly number[] {
  return stored
    .filter(({ name }) => name.startsWith(prefix))
    .toSorted((a, b) => Number(a.name.slice(prefix.length)) - Number(b.name.slice(prefix.length)))
    .map(({ fd }) => fd);
}

/** Whatever becomes of it, nobody else shall get it. */
function forget(service: ServiceManager, stored: readonly StoredDescriptor[]): void {
  for (const name of new Set(stored.map((one) => one.name))) service.unstore(name);
}
