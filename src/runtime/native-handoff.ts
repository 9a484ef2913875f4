/** The part of the addon that passes messages with descriptors between our processes (native/handoff.h). Everything throws an Error in words. */
import { addon } from "./early.ts";

/** Each call blocks, for as long as it is told at most. Both ends of a connection are of one user, or root. */
export interface HandoffAddon {
  /** A socket that only its owner may open. What was left at this absolute path is replaced. */
  listenAt(path: string): number;
  /** Null: nobody came. Who is of another user is turned away, by an Error. */
  acceptPeer(listener: number, millis: number): number | null;
  connectTo(path: string, millis: number): number;
  /** At most 4096 bytes and 160 descriptors, which stay the caller's. */
  sendMessage(fd: number, bytes: Uint8Array, fds: readonly number[], millis: number): void;
  /** Kills the process that made the other end, if that is still open. */
  endPeer(fd: number): void;
  /** The descriptors are the caller's. No bytes: the other end is gone. Null: nothing came. */
  receiveMessage(fd: number, millis: number): readonly [bytes: Uint8Array, fds: readonly number[]] | null;
}

export function handoffAddon(): HandoffAddon {
  return addon() as unknown as HandoffAddon;
}
