/** Every event of the protocol: its name, when it is told, its level in the log, and what its fields mean. */

export interface EventMeaning {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly meaning: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** Words of the field `reason` of handovers. */
const HANDOVER = `"address-gone", "address-preferred", "peer-moved", "peer-preferred", "source-moved", "path-dead", "lowest-rtt" or "asked"`;
const PLACE = "an address with its port";

/** The types of names and fields are made of this table: an event that is not in it does not compile. */
export const HOST_EVENTS = {
  "association-state": {
    level: "debug",
    meaning: "An association went into another state (RFC 7401 4.4.2).",
    fields: { from: "the state before", to: "the state now" },
  },
  "association-established": {
    level: "info",
    meaning: "A base exchange is complete: packets flow.",
    fields: {
      role: '"initiator" or "responder"',
      millis: "from our first packet of the exchange to its end",
      espSuite: "what seals packets",
      hipCipher: "what hides parameters",
      dhGroup: "the Diffie-Hellman group",
    },
  },
  "association-rekeyed": {
    level: "info",
    meaning: "Packets are sealed with new keys (RFC 7402 6.8).",
    fields: { dh: '"new": from a new Diffie-Hellman exchange; "kept": from the old one' },
  },
  "rekey-failed": {
    level: "warn",
    meaning: "New keys were not agreed on; the old ones stay in use, and it is tried again.",
    fields: { reason: '"timeout", or a drop reason' },
  },
  "association-closed": {
    level: "info",
    meaning: "An association ended. The next packet makes a new one.",
    fields: {
      by: '"us" or "peer"',
      reason:
        '"asked", "close", "unused", "unreachable", "no_answer_to_update", "rekey_timeout" or "forgotten"',
    },
  },
  "association-failed": {
    level: "warn",
    meaning: "No association came about: packets for the peer are answered with ICMP for a while.",
    fields: {
      reason: '"no_locator", "no_answer_to_i1", "no_answer_to_i2", or a drop reason',
      address: "where an opportunistic call went",
    },
  },
  "exchange-refused": {
    level: "warn",
    meaning: "A packet of a base exchange was found wanting.",
    fields: { packet: '"R1" or "I2"', reason: "a drop reason", detail: "what it was, in words" },
  },
  "authentication-failed": {
    level: "warn",
    meaning: "A packet of an association has a wrong signature or MAC.",
    fields: { packet: "its name", reason: "a drop reason" },
  },
  "notify-received": {
    level: "info",
    meaning: "The peer, or somebody in its name, told of an error (RFC 7401 5.2.19).",
    fields: {
      notification: "its name",
      messageType: "its number",
      data: "what is printable of its data",
      authentic: '"yes": under the keys of the association; "no": hearsay',
    },
  },
  "notify-sent": {
    level: "debug",
    meaning: "The peer was told of an error.",
    fields: { bytes: "length of the packet" },
  },
  handover: {
    level: "info",
    meaning: "Traffic goes along another path.",
    fields: {
      reason: HANDOVER,
      from: "the path before",
      to: "the path now",
      millis: "since the change was noticed",
    },
  },
  "handover-failed": {
    level: "warn",
    meaning: "No other path works, or not the one that was asked for.",
    fields: { reason: `${HANDOVER}, or "no_such_path"`, detail: "what was tried" },
  },
  "locators-announced": {
    level: "debug",
    meaning: "The peer is told where this host is (RFC 8046 5.2).",
    fields: { locators: "all of them" },
  },
  "peer-locators": {
    level: "info",
    meaning: "The peer told where it is.",
    fields: { locators: "all of them" },
  },
  "locator-verified": {
    level: "debug",
    meaning: "The peer answered at an address.",
    fields: { address: "the address", port: "its port" },
  },
  "locator-unreachable": {
    level: "info",
    meaning: "The peer did not answer at an address.",
    fields: { address: "the address", port: "its port" },
  },
  "clone-detected": {
    level: "warn",
    meaning: "Another host has the peer's identity (kept, refused), or ours (other).",
    fields: {
      kept: `${PLACE}: who keeps the association`,
      refused: `${PLACE}: the other one`,
      other: `${PLACE}: who has our identity`,
    },
  },
  "peer-away": {
    level: "info",
    meaning: "The peer will be away for a while, or is back.",
    fields: { seconds: "for how long; 0: it is back" },
  },
  "peer-discovered": {
    level: "info",
    meaning: "A peer of opportunistic mode answered: this is its HIT from now on.",
    fields: { address: "where it answered" },
  },
} as const satisfies Readonly<Record<string, EventMeaning>>;

export type EventName = keyof typeof HOST_EVENTS;

type Fields<T extends EventMeaning> = { readonly [F in keyof T["fields"]]?: string | number };

/** What an event may tell: fields of the table, none of them secret. */
export type EventDetail<N extends EventName> = Fields<(typeof HOST_EVENTS)[N]>;
