/** The carrier (carry.ts) as the hipd sees it that ends. */
import { err, ok, type Result } from "../core/types.ts";
import { CARRY_PROTOCOL, hearCarry, ownNetwork, sendCarry } from "./carry-message.ts";
import type { HandoffAddon } from "./native-handoff.ts";
import type { ServiceAddon } from "./native-service.ts";

/** It listens already. */
const CONNECT_MILLIS = 50;
/** It resumes in a few milliseconds; many associations, or a machine without a free processor, take longer. After that the ticket decides who goes on: it, or the next hipd. */
const ANSWER_MILLIS = 1_000;
/** The kernel's limit of a socket's name, with its end. */
const MAX_SOCKET = 107;

export type CarrierLink = Pick<HandoffAddon, "connectTo" | "sendMessage" | "receiveMessage"> &
  Pick<ServiceAddon, "closeFd">;

/** Why hipd does not look there for a carrier; undefined: it does. Only root makes such folders: a look into another one might not end. */
export function wrongCarrierPlace(socket: string): string | undefined {
  if (/^\/run\/hipd[^/\0]*\/[^/\0]+$/.test(socket)) return wrongCarrierSocket(socket);
  return `"${socket}" is not a socket in a folder /run/hipd...`;
}

/** Why this cannot be where a carrier listens; undefined: it can. */
export function wrongCarrierSocket(socket: string): string | undefined {
  const fits = socket.startsWith("/") && Buffer.byteLength(socket) <= MAX_SOCKET && !socket.includes("\0");
  return fits ? undefined : `"${socket}" is not the absolute path of a carrier's socket`;
}

/** What became of what it was given: it goes on with it, has refused it, or has not said anything. */
export type CarrierAnswer =
  | { readonly type: "carrying" }
  | { readonly type: "refused"; readonly reason: string }
  | { readonly type: "silent" };

export class Carrier {
  /** Whoever holds it may take back what is carried; without it the carrier ends. */
  readonly connection: number;
  readonly #native: CarrierLink;
  readonly #version: string;

  private constructor(native: CarrierLink, connection: number, version: string) {
    this.#native = native;
    this.connection = connection;
    this.#version = version;
  }

  static reach(native: CarrierLink, socket: string, version: string): Result<Carrier, string> {
    try {
      return ok(new Carrier(native, native.connectTo(socket, CONNECT_MILLIS), version));
    } catch (error) {
      return err((error as Error).message);
    }
  }

  /** Gives it a suspended plane, in sealed memory, and its ticket. All descriptors stay the caller's. */
  give(plane: number, ticket: number, tuns: readonly number[], sockets: readonly number[]): CarrierAnswer {
    const load = { tuns: tuns.length, sockets: sockets.length };
    const message = {
      type: "carry",
      protocol: CARRY_PROTOCOL,
      version: this.#version,
      network: ownNetwork(),
      ...load,
    } as const;
    try {
      sendCarry(this.#native, this.connection, message, [plane, ticket, ...tuns, ...sockets], ANSWER_MILLIS);
    } catch (error) {
      return { type: "refused", reason: (error as Error).message };
    }
    try {
      const heard = hearCarry(this.#native, this.connection, ANSWER_MILLIS);
      if (!heard.ok && heard.error === "gone") return { type: "refused", reason: "the carrier has ended" };
      const said = heard.ok ? heard.value.message : undefined;
      if (said?.type === "carrying") return { type: "carrying" };
      return said?.type === "refused" ? said : { type: "silent" };
    } catch {
      return { type: "silent" };
    }
  }

  close(): void {
    this.#native.closeFd(this.connection);
  }
}
