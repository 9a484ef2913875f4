/** Where hosts are: our own locators as the overlay ranks them, and the states of a peer's (RFC 8046 5.1). */

/** The states of RFC 8046 5.1. */
export type LocatorStatus = "UNVERIFIED" | "ACTIVE" | "DEPRECATED";

/** Who says that we can be reached there. */
export type OwnLocatorKind =
  /** An address of an interface. */
  | "host"
  /** The configuration (`[locators] advertise`). */
  | "static"
  /** The cloud's metadata service: a floating or elastic IP. */
  | "cloud"
  /** A peer that saw our packets come from there. */
  | "reflexive";

/** A place at which we can be reached. */
export interface OwnLocator {
  readonly address: string;
  /** UDP port; 0 for plain IP carriers, which have none. */
  readonly port: number;
  readonly kind: OwnLocatorKind;
  /** Whether the address is ours to send from. */
  readonly local: boolean;
  /** 0 to 65535, higher is better: the local preference of RFC 8445 5.1.2.1. */
  readonly preference: number;
  /** Seconds; undefined: as long as nothing else is said. */
  readonly lifetime: number | undefined;
}
