/** Every event that `hipctl events` and the log can tell: the protocol's, and the overlay's own. */
import { type EventMeaning, HOST_EVENTS } from "../hip/event-catalogue.ts";

const OWN_EVENTS = {
  "peer-added": {
    level: "info",
    meaning: "A peer was added.",
    fields: { name: "its name", source: '"config", "peers.d" or "runtime": where it stands' },
  },
  "peer-changed": {
    level: "info",
    meaning: "A peer's configuration changed.",
    fields: { name: "its name" },
  },
  "peer-removed": {
    level: "info",
    meaning: "A peer was removed.",
    fields: { name: "its name" },
  },
  "config-applied": {
    level: "debug",
    meaning: "A configuration was applied.",
    fields: { added: "peers added", removed: "peers removed", changed: "peers changed" },
  },
  "identity-default": {
    level: "info",
    meaning: "Another identity is shown to peers that are given no other.",
    fields: { hit: "its HIT" },
  },
  "own-locators": {
    level: "info",
    meaning: "This host is somewhere else.",
    fields: { locators: "all of ours, best first" },
  },
  "taken-over": {
    level: "info",
    meaning: "This hipd goes on with the associations of its predecessor, without a new exchange.",
    fields: { associations: "how many" },
  },
  "cloud-metadata": {
    level: "info",
    meaning: "The cloud's metadata service told something new.",
    fields: { cloud: "which cloud", instance: "its name of this machine", addresses: "public addresses" },
  },
  resumed: {
    level: "info",
    meaning: "The machine slept: its peers are asked whether they are there.",
    fields: { millis: "for how long", peers: "how many are asked" },
  },
  "path-dead": {
    level: "warn",
    meaning: "Nothing came back along the path in use, and no probe was answered.",
    fields: { path: "the path", millis: "for how long it was asked" },
  },
  "path-mtu": {
    level: "info",
    meaning: "Another size is the largest that a path carries.",
    fields: { path: "the path", mtu: 'bytes with the outer IP header, or "from the kernel"' },
  },
  "peer-dns-locators": {
    level: "info",
    meaning: "DNS names other places than before where a peer may be.",
    fields: { name: "the peer", locators: "how many" },
  },
  "peer-dns-hit": {
    level: "info",
    meaning: "A validated HIP record in DNS says who a peer is (RFC 8005).",
    fields: { name: "the peer", dns: "its name in DNS" },
  },
  "peer-dns-lost": {
    level: "warn",
    meaning: "The HIP record that said who a peer is has ended: no new association is made with it.",
    fields: { name: "the peer" },
  },
  "peer-dns-refused": {
    level: "warn",
    meaning: "A HIP record of a peer in DNS is not believed.",
    fields: { name: "the peer", dns: "its name in DNS", reason: "why" },
  },
} as const satisfies Readonly<Record<string, EventMeaning>>;

export const EVENTS = { ...HOST_EVENTS, ...OWN_EVENTS } as const;

/** The names of all events: others do not compile. */
export type AnyEventName = keyof typeof EVENTS;

export type OwnEventName = keyof typeof OWN_EVENTS;

/** What an event may tell: fields of the table. */
export type AnyEventDetail<N extends AnyEventName> = {
  readonly [F in keyof (typeof EVENTS)[N]["fields"]]?: string | number;
};

export const EVENT_NAMES = Object.keys(EVENTS) as readonly AnyEventName[];
