/** What native/addon.cc exports. */

/** The plane inside the addon. */
export interface Handle {
  readonly native: unique symbol;
}

/** What a plane is connected to. */
type Wiring = [
  name: string,
  mtu: number,
  port: number,
  raw: boolean,
  workers: number,
  ownLsi: Uint8Array,
  lsiNetwork: Uint8Array,
  lsiPrefixLength: number,
];

/** How it works. */
type Manner = [offloads: number, busyPollMicros: number, aead: string, silentMillis: number];

/** native/addon.cc. Addresses are 4 or 16 bytes; "text" results are described there. */
export interface Addon {
  open(...options: [...Wiring, notify: () => void, ...Manner]): [Handle, ...string[]];
  close(plane: Handle): void;
  suspend(plane: Handle): [blob: Uint8Array, tunFds: number[], udpFds: number[]];
  resume(
    blob: Uint8Array,
    tunFds: readonly number[],
    udpFds: readonly number[],
    notify: () => void,
    /** Taken at the last moment, when nothing else can fail; without one the caller has seen to that. */
    ticketFd?: number,
  ): [Handle, ...string[]];
  resumedOptions(plane: Handle): [...Wiring, ...Manner, gapMicros: number];
  stalled(plane: Handle, millis: number): number;
  send(plane: Handle, path: Uint8Array, bytes: Uint8Array): void;
  addSa(
    plane: Handle,
    inbound: boolean,
    spi: number,
    lsiSpi: number,
    suite: number,
    encryptionKey: Uint8Array,
    integrityKey: Uint8Array,
    localHit: Uint8Array,
    peerHit: Uint8Array,
    path: Uint8Array,
    lsiFamily: boolean,
    softPackets: number,
    idleAfter: number,
  ): number;
  setPath(plane: Handle, spi: number, peer: Uint8Array, path: Uint8Array, verified: boolean): boolean;
  probe(plane: Handle, peer: Uint8Array, path: Uint8Array, token: number, bytes: number): void;
  setPathMtu(plane: Handle, peer: Uint8Array, mtu: number): void;
  shun(plane: Handle, address: Uint8Array, millis: number): void;
  dropSa(plane: Handle, spi: number, inbound: boolean, peer: Uint8Array): void;
  route(plane: Handle, peer: Uint8Array, mode: number, spi: number): void;
  alias(plane: Handle, lsi: Uint8Array, peer: Uint8Array): void;
  ping(plane: Handle, local: Uint8Array, peer: Uint8Array, sequence: number, bytes: number): void;
  drain(plane: Handle, buffer: Uint8Array, max: number): number;
  associations(plane: Handle): Uint8Array;
  counters(plane: Handle): Record<string, number>;
  logFlows(plane: Handle, sample: number): void;
  takeFlows(plane: Handle, max: number, all: boolean): Uint8Array;
  addresses(plane: Handle): string;
  /** The AEAD back-end in use, like "openssl 3.5.8". */
  cipher(plane: Handle): string;
  source(remote: Uint8Array): Uint8Array;
  trimMemory(): string;
  underlayAddresses(overlayLink: string): string;
  deleteTun(name: string): void;
  setLink(name: string, up: boolean, mtu: number): void;
  listLinks(): string;
  listAddresses(): string;
  listRoutes(): string;
  changeAddress(add: boolean, link: string, address: Uint8Array, prefixLength: number): void;
  changeRoute(
    add: boolean,
    destination: Uint8Array,
    prefixLength: number,
    type: number,
    link: number,
    table: number,
    metric: number,
    mtu: number,
    source: Uint8Array,
    ecn: boolean,
  ): void;
}
