/** What a hipd that ends, the carrier (carry.ts) and the next hipd say to each other: one JSON object a message, with descriptors beside it. */
import { readlinkSync } from "node:fs";
import { err, ok, type Result } from "../core/types.ts";
import type { HandoffAddon } from "./native-handoff.ts";
import type { ServiceAddon } from "./native-service.ts";

/** To be raised with every change of a message. Another one is refused before anything is taken. */
export const CARRY_PROTOCOL = 1;

/** Descriptors beside "carry" and "handed": the plane's part in sealed memory, its ticket, the TUN queues, the sockets. */
interface Load {
  readonly tuns: number;
  readonly sockets: number;
}

export type CarryMessage =
  /** To the carrier: go on with this. `network` is the network namespace. */
  | ({
      readonly type: "carry";
      readonly protocol: number;
      readonly version: string;
      readonly network: string;
    } & Load)
  /** From the carrier: it does, after so long a gap; or why not, and then it has taken nothing. */
  | { readonly type: "carrying"; readonly gapMicros: number }
  | { readonly type: "refused"; readonly reason: string }
  /** From the next hipd. */
  | { readonly type: "take" }
  /** To it: the carrier has stopped. */
  | ({ readonly type: "handed"; readonly gapMicros: number; readonly carriedMillis: number } & Load);

type Fields = Readonly<Record<string, unknown>>;

const FIELDS: Readonly<Record<CarryMessage["type"], Readonly<Record<string, "number" | "string">>>> = {
  carry: { protocol: "number", version: "string", network: "string", tuns: "number", sockets: "number" },
  carrying: { gapMicros: "number" },
  refused: { reason: "string" },
  take: {},
  handed: { gapMicros: "number", carriedMillis: "number", tuns: "number", sockets: "number" },
};

/** A whole one, or undefined. Takes bytes of any content. */
export function parseCarryMessage(bytes: Uint8Array): CarryMessage | undefined {
  try {
    const said: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    if (typeof said !== "object" || said === null) return undefined;
    const type = String((said as Fields)["type"]);
    if (!Object.hasOwn(FIELDS, type)) return undefined;
    for (const [name, kind] of Object.entries(FIELDS[type as CarryMessage["type"]])) {
      const value = (said as Fields)[name];
      if (typeof value !== kind || (kind === "number" && !(Number.isInteger(value) && Number(value) >= 0)))
        return undefined;
    }
    return said as CarryMessage;
  } catch {
    return undefined;
  }
}

/** @throws Error when the other end does not take it. */
export function sendCarry(
  native: Pick<HandoffAddon, "sendMessage">,
  fd: number,
  message: CarryMessage,
  fds: readonly number[],
  millis: number,
): void {
  native.sendMessage(fd, Buffer.from(JSON.stringify(message), "utf8"), fds, millis);
}

export interface Heard {
  readonly message: CarryMessage;
  /** The caller's. */
  readonly fds: readonly number[];
}

/** What the other end says next. An error: it is "late", it is "gone", or what it says is nonsense. */
export function hearCarry(
  native: Pick<HandoffAddon, "receiveMessage"> & Pick<ServiceAddon, "closeFd">,
  fd: number,
  millis: number,
): Result<Heard, "late" | "gone" | "nonsense"> {
  const received = native.receiveMessage(fd, millis);
  if (received === null) return err("late");
  const [bytes, fds] = received;
  if (bytes.length === 0) return err("gone");
  const message = parseCarryMessage(bytes);
  if (message !== undefined && fds.length === descriptorsOf(message)) return ok({ message, fds });
  for (const one of fds) native.closeFd(one);
  return err("nonsense");
}

function descriptorsOf(message: CarryMessage): number {
  return message.type === "carry" || message.type === "handed" ? 2 + message.tuns + message.sockets : 0;
}

/** Which network namespace this process is in, as the kernel names it; "" when it does not say. */
export function ownNetwork(): string {
  try {
    return readlinkSync("/proc/self/ns/net");
  } catch {
    return "";
  }
}
