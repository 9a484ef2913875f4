/** The part of the addon that is about the service manager, sealed memory and capabilities (native/service.h). Everything throws an Error in words. */
import { addon } from "./early.ts";

export interface ServiceAddon {
  /** One datagram with descriptors; "@name" is an abstract socket. */
  notify(socket: string, message: string, fds: readonly number[]): void;
  /** A memfd with these bytes that nobody can change any more. The caller closes it. */
  makeSealed(name: string, bytes: Uint8Array): number;
  /** Throws when it is not such a memfd, or larger than 256 MiB. */
  readSealed(fd: number): Uint8Array;
  /** A memfd whose first four bytes are a flag that can be taken once. The caller closes it. */
  makeTicket(): number;
  /** True exactly once over all processes that hold the ticket. */
  takeTicket(fd: number): boolean;
  /** Programs that this process executes do not get the descriptor. */
  closeOnExec(fd: number): void;
  closeFd(fd: number): void;
  /** Ends the process this instant: nothing is freed, no handler runs. */
  exitNow(status: number): void;
  /** What ps(1) shows: at most 15 characters. Main thread only. */
  nameProcess(name: string): void;
  /** All threads keep no capabilities but these ("CAP_NET_ADMIN"), for ever; no core dumps; no_new_privs. */
  dropPrivileges(keep: readonly string[]): void;
}

export function serviceAddon(): ServiceAddon {
  return addon() as unknown as ServiceAddon;
}
