/** What the service manager is told (sd_notify(3)). */

export type ServiceState = "READY" | "RELOADING" | "STOPPING" | "WATCHDOG";

/** Sends one datagram to a Unix socket; a name that begins with "@" is abstract. Node has no such sockets, so it is handed in. */
export type UnixDatagram = (socket: string, message: string) => void;

export interface ServiceManager {
  notify(state: ServiceState, status?: string): void;
  /** Milliseconds between two WATCHDOG messages that the manager expects at most; undefined: none. */
  readonly watchdogMillis: number | undefined;
}

/** Does nothing when there is no service manager, or no way to reach it. */
export function serviceManager(
  environment: Readonly<Record<string, string | undefined>>,
  send: UnixDatagram | undefined,
  monotonicMicros: () => bigint = () => process.hrtime.bigint() / 1000n,
): ServiceManager {
  const socket = environment["NOTIFY_SOCKET"];
  const micros = Number(environment["WATCHDOG_USEC"]);
  const mine =
    environment["WATCHDOG_PID"] === undefined || environment["WATCHDOG_PID"] === String(process.pid);
  return {
    watchdogMillis: socket !== undefined && mine && micros > 0 ? Math.floor(micros / 1000) : undefined,
    notify: (state, status) => {
      if (socket === undefined || send === undefined) return;
      send(socket, message(state, status, monotonicMicros));
    },
  };
}

function message(state: ServiceState, status: string | undefined, monotonicMicros: () => bigint): string {
  const lines = [`${state}=1`];
  if (state === "RELOADING") lines.push(`MONOTONIC_USEC=${monotonicMicros()}`);
  if (status !== undefined) lines.push(`STATUS=${status.replaceAll("\n", " ")}`);
  return lines.join("\n");
}
