/** The lines that the daemon itself logs, beside one for each event of src/overlay/event-catalogue.ts. */
import { type AnyEventName, EVENTS } from "../../overlay/event-catalogue.ts";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly meaning: string;
  readonly fields: Readonly<Record<string, string>>;
}

const DAEMON_LINES = {
  "identity-created": {
    level: "info",
    meaning: "This host had no identity: one was made.",
    fields: { hit: "its HIT", algorithm: "its algorithm", file: "where its key is" },
  },
  "new-instance": {
    level: "warn",
    meaning: "This is another machine than the identity was used on before: a copied disk.",
    fields: {
      changed: "what differs",
      policy: "[identity] on_new_instance",
      keptAs: "where the former key is",
    },
  },
  ready: {
    level: "info",
    meaning: "The interface is up, and I1s are answered.",
    fields: {
      version: "of hipd",
      hit: "the default identity",
      interface: "of the overlay",
      port: "UDP port",
      peers: "how many are configured",
      socket: "where hipctl reaches it",
      millis: "since the program began",
    },
  },
  "privileges-dropped": {
    level: "debug",
    meaning: "Capabilities that are not needed any more were given up.",
    fields: { kept: "which ones are left" },
  },
  "privileges-not-dropped": {
    level: "error",
    meaning: "Capabilities that are not needed could not be given up: hipd ends.",
    fields: { reason: "the kernel's answer" },
  },
  "priority-refused": {
    level: "warn",
    meaning: "hipd cannot have the priority that the configuration asks for.",
    fields: {
      wanted: "the nice value that the configuration asks for",
      nice: "the one that hipd has",
      reason: "the kernel's answer",
      remedy: "what allows it",
    },
  },
  "service-manager-deaf": {
    level: "warn",
    meaning: "The service manager cannot be told how hipd is.",
    fields: { reason: "the kernel's answer" },
  },
  "took-over": {
    level: "info",
    meaning: "This hipd goes on with the associations of the hipd before it, without a new exchange.",
    fields: {
      associations: "how many",
      millis: "for how long packets waited: the longer time of two when a carrier came between",
      from: "the version of the hipd before",
      by: '"carrier" when one served packets between the two, else "store"',
      carried: "for how many milliseconds it did",
    },
  },
  "takeover-refused": {
    level: "warn",
    meaning: "What the hipd before left is not taken; associations are made anew.",
    fields: {
      reason: "why: damaged, of another format, taken already, or a setting of the data plane changed",
    },
  },
  "takeover-failed": {
    level: "error",
    meaning: "Associations could not be handed over; the next hipd makes them anew.",
    fields: { reason: "what the system said" },
  },
  "not-carried": {
    level: "warn",
    meaning:
      "No carrier serves packets until the next hipd comes: they wait for it, for about a tenth of a second.",
    fields: { reason: "what the carrier or the system said" },
  },
  carrying: {
    level: "info",
    meaning: "From the carrier, `hipd --carry`: it served packets between two hipds. Told when it is done.",
    fields: { millis: "for how long packets waited", from: "the version of the hipd that ended" },
  },
  "carry-handed": {
    level: "info",
    meaning: "From the carrier: the next hipd has got everything; the carrier ends.",
    fields: { millis: "for how long it served packets" },
  },
  "carry-unused": {
    level: "info",
    meaning: "From the carrier: hipd did not stop after all, or had no use for a carrier.",
    fields: {},
  },
  "carry-refused": {
    level: "warn",
    meaning:
      "From the carrier: it cannot serve packets for this hipd, which hands over to the next one directly.",
    fields: {
      reason: "why: another format (an upgrade that changed it), another user, another network namespace",
    },
  },
  "carry-ended": {
    level: "warn",
    meaning: "From the carrier: no next hipd has come for the associations; they are made anew.",
    fields: { reason: "why it gave up" },
  },
  "watchdog-hungry": {
    level: "error",
    meaning: "The main thread or a data thread hangs: the service manager will start hipd again.",
    fields: { reason: "which one" },
  },
  stopping: { level: "info", meaning: "Associations are closed.", fields: { signal: "who asked" } },
  stopped: { level: "info", meaning: "The last line.", fields: {} },
  "start-failed": { level: "error", meaning: "hipd could not start: the message says why.", fields: {} },
  crashed: { level: "error", meaning: "hipd has a bug and ends.", fields: { stack: "where it was" } },
  reloaded: {
    level: "info",
    meaning: "The configuration was read again and applied.",
    fields: {
      added: "peers, by name",
      removed: "peers, by name",
      changed: "peers, by name",
      host: "whether [protocol] changed",
      locators: "whether [locators] changed",
      identities: "whether identities changed",
    },
  },
  "names-served": {
    level: "info",
    meaning: "Names of peers are answered: docs/NAMES.md.",
    fields: { host: "address", port: "UDP and TCP port", domain: "what all names end with" },
  },
  "names-not-served": {
    level: "warn",
    meaning: "The DNS responder could not be opened: names of peers are not answered.",
    fields: { reason: "why" },
  },
  "names-wired": {
    level: "info",
    meaning: "systemd-resolved was told to ask hipd for names of peers.",
    fields: { zones: "domains that it asks for" },
  },
  "names-not-wired": {
    level: "info",
    meaning: "systemd-resolved did not let hipd tell it: hipctl dns on, as root, does.",
    fields: { reason: "why" },
  },
  "hosts-not-written": {
    level: "warn",
    meaning: "Names of peers could not be written to /etc/hosts.",
    fields: { reason: "why" },
  },
  "restart-needed": {
    level: "warn",
    meaning: "Some settings take effect only after a restart.",
    fields: { settings: "which ones" },
  },
  "reload-refused": {
    level: "error",
    meaning: "The new configuration is wrong, and nothing was changed: the message says why.",
    fields: {},
  },
  "state-damaged": {
    level: "error",
    meaning: "The state file was damaged and kept aside; peers may get other LSIs than before.",
    fields: { file: "the state file", keptAs: "where the damaged one is", reason: "what is wrong with it" },
  },
  "state-not-written": {
    level: "error",
    meaning: "The state file could not be written: the message says why.",
    fields: {},
  },
  "addresses-not-set": {
    level: "error",
    meaning: "The addresses of the interface could not be changed.",
    fields: { reason: "the kernel's answer" },
  },
  "routes-not-set": {
    level: "error",
    meaning: "The routes of single peers could not be changed.",
    fields: { reason: "the kernel's answer" },
  },
  flow: {
    level: "info",
    meaning: "A flow ended, or goes on for ten minutes more ([log] flows). One line for each direction.",
    fields: {
      direction: '"out" or "in"',
      protocol: '"tcp", "udp", "icmp" (of either family), "sctp", "dccp", or a number',
      family: '"hit" (IPv6) or "lsi" (IPv4): what the application sees',
      localPort: "of this host; ICMP echo: the identifier; 0 where there is none",
      peerPort: "of the peer",
      packets: "since the flow began, or since its last line",
      bytes: "the same, inner headers included",
      first: "time of the first packet",
      last: "time of the latest packet",
      end: '"closed" (FIN or RST), "idle" (nothing for 30 s), "ongoing", or "stopped" (the log was turned off, or hipd ends)',
      sample: "one of so many flows is logged",
      peer: "its name",
      hit: "its HIT",
    },
  },
  network: {
    level: "info",
    meaning:
      "What the data plane found when it was opened, or is in its way: the message says it. Also as debug, warn and error.",
    fields: {},
  },
  "job-thread-crashed": {
    level: "error",
    meaning: "A crypto thread died and is replaced.",
    fields: { reason: "where it was" },
  },
  rehearsed: {
    level: "debug",
    meaning: "The code of an exchange is compiled.",
    fields: { exchanges: "how many it took", millis: "how long" },
  },
  "metadata-source": {
    level: "debug",
    meaning: "Which cloud's metadata service is asked.",
    fields: { cloud: "its name" },
  },
  "metadata-unreachable": {
    level: "warn",
    meaning: "The cloud's metadata service does not answer; repetitions are debug lines.",
    fields: { cloud: "its name", reason: "what happened" },
  },
  "events-suppressed": {
    level: "warn",
    meaning: "Events came faster than lines are written (50 a second); hipctl events has them all.",
    fields: { count: "how many" },
  },
  "log-lines-lost": {
    level: "warn",
    meaning: "Whoever reads the log did not keep up.",
    fields: { count: "how many lines" },
  },
} as const satisfies Readonly<Record<string, LogLine>>;

export const LOG_LINES: Readonly<Record<string, LogLine>> = { ...DAEMON_LINES };

/** The word `event` of a log line: others do not compile. */
export type LogEvent = keyof typeof DAEMON_LINES | AnyEventName;

/** The level of an event's line. */
export function levelOf(name: AnyEventName): LogLine["level"] {
  return EVENTS[name].level;
}
