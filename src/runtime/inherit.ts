/** What a predecessor left, once its data plane is on its way again (early.ts): the control plane's part, and an end to the store. */
import { err, ok, type Result } from "../core/types.ts";
import type { Early, Outcome } from "./early.ts";
import { type NativeLog, NativePlane } from "./native.ts";
import { serviceAddon } from "./native-service.ts";
import { serviceManager } from "./systemd.ts";
import { type HandedControl, readControl } from "./takeover.ts";

export interface Inheritance {
  /** Runs already. Its events wait. */
  readonly plane: NativePlane;
  readonly control: HandedControl;
  /** Lines about the data plane: those that came before there was a log, and later ones. */
  readonly listen: (log: NativeLog) => void;
  /** Microseconds for which nobody served the interface and the sockets: the longer one of two when a carrier came between. */
  readonly gapMicros: number;
  /** How long a carrier did; undefined: there was none. */
  readonly carriedMillis: number | undefined;
}

/**
 * The predecessor's associations with their data plane. An error says why they are not taken: then everything begins anew. The
 * descriptors that nobody needs any more are closed, in the store, too: whatever becomes of them, nobody else shall get them.
 */
export function inherit(
  { stored, outcome: take }: Early,
  environment: Readonly<Record<string, string | undefined>>,
): Result<Inheritance, string> {
  const native = serviceAddon();
  const outcome = take();
  const taken = outcome.ok ? controlled(outcome) : err(outcome.reason);
  for (const { fd } of stored) if (!outcome.ok || !outcome.used.has(fd)) native.closeFd(fd);
  const service = serviceManager(environment, native.notify);
  for (const name of new Set(stored.map((one) => one.name))) service.unstore(name);
  return taken;
}

function controlled({
  begun,
  controlFd,
  carried,
}: Extract<Outcome, { ok: true }>): Result<Inheritance, string> {
  const notes: Parameters<NativeLog>[] = [];
  let log: NativeLog = (...note) => void notes.push(note);
  const plane = NativePlane.adopt(begun, (...note) => log(...note));
  const control = read(controlFd);
  if (!control.ok) {
    plane.close();
    return control;
  }
  const listen = (listener: NativeLog): void => {
    log = listener;
    for (const note of notes) listener(...note);
  };
  const gapMicros = Math.max(plane.gapMicros(), carried?.gapMicros ?? 0);
  return ok({ plane, control: control.value, listen, gapMicros, carriedMillis: carried?.millis });
}

function read(fd: number): Result<HandedControl, string> {
  try {
    return readControl(serviceAddon().readSealed(fd));
  } catch (error) {
    return err((error as Error).message);
  }
}
