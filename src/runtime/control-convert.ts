/** Between the overlay's replies and the messages of the control API, where the two are not the same shape. */
import type {
  ConfigChanges,
  ControlErrorCode,
  ControlReply,
  IdentityView,
  OverlayEvent,
} from "../overlay/control.ts";

/** An identity with the name that operators know it by. */
export interface NamedIdentityView extends IdentityView {
  readonly name: string;
}

export interface IdentityDetails {
  readonly identity: NamedIdentityView;
  /** The public half as a DNS record of type HIP (RFC 8005). */
  readonly hipRecord: string;
}

/** How often the cloud's metadata service was asked, and with what result. */
export interface MetadataView {
  /** The cloud that is asked; null: none. */
  readonly cloud: string | null;
  readonly requests: number;
  readonly failures: number;
  readonly changes: number;
}

/** What a reload did. */
export interface ReloadReport extends ConfigChanges {
  /** Settings that differ in the file but wait for a restart. */
  readonly needsRestart: readonly string[];
}

export interface Problem {
  readonly code: ControlErrorCode | "config";
  readonly message: string;
}

export type PingReply = Extract<
  ControlReply,
  { type: "ping-start" | "ping-reply" | "ping-lost" | "ping-done" }
>;

const PING_FIELDS: Readonly<Record<PingReply["type"], string>> = {
  "ping-start": "start",
  "ping-reply": "reply",
  "ping-lost": "lost",
  "ping-done": "done",
};

export function pingMessage(reply: PingReply): Record<string, unknown> {
  const { type, ...fields } = reply;
  return { [PING_FIELDS[type]]: fields };
}

/** Undefined for a message of a newer schema. */
export function pingReply(message: Record<string, unknown>): PingReply | undefined {
  for (const [type, field] of Object.entries(PING_FIELDS)) {
    const value = message[field];
    if (typeof value === "object" && value !== null) return { type, ...value } as PingReply;
  }
  return undefined;
}

export function eventMessage(event: OverlayEvent): Record<string, unknown> {
  const detail: Record<string, { text: string } | { number: number }> = {};
  for (const [name, value] of Object.entries(event.detail)) {
    detail[name] = typeof value === "string" ? { text: value } : { number: value };
  }
  return { ...event, detail };
}

export function eventFrom(message: Record<string, unknown>): OverlayEvent {
  const detail: Record<string, string | number> = {};
  const wrapped = message["detail"] as Record<string, { text: string | null; number: number | null }>;
  for (const [name, value] of Object.entries(wrapped)) detail[name] = value.text ?? value.number ?? "";
  return { ...message, detail } as unknown as OverlayEvent;
}
