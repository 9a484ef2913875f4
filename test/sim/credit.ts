/**
 * Counts, without a look at any daemon's own counter, what goes to places that have not answered (RFC 8046 5.6): bytes of
 * ESP to an endpoint of a peer before that peer sent back a nonce that went there, against the bytes that came from it.
 */
import { type Endpoint, endpointText, type Hit } from "../../src/core/types.ts";

interface Account {
  earned: number;
  spent: number;
  /** Endpoints at which the peer has answered, or made the exchange. */
  readonly answered: Set<string>;
}

export class CreditLedger {
  /** By daemon and its peer, each by name. */
  readonly #accounts = new Map<string, Account>();
  /** Nonces that a daemon asked to be sent back, and where it sent them. */
  readonly #asked = new Map<string, { readonly daemon: string; readonly endpoint: string | undefined }>();
  /** Who has sent a nonce back. */
  readonly #echoed = new Map<string, string>();
  readonly #ownerOf: (hit: Hit) => string;
  /** Bytes that went out on credit, in all. */
  total = 0;

  constructor(ownerOf: (hit: Hit) => string) {
    this.#ownerOf = ownerOf;
  }

  /** The base exchange has shown that the peer is there. */
  exchanged(daemon: string, peer: Hit, endpoint: Endpoint): void {
    this.#account(daemon, this.#ownerOf(peer)).answered.add(endpointText(endpoint));
  }

  /** A HIP packet with a nonce leaves `daemon`. */
  asks(daemon: string, nonce: string, endpoint: Endpoint): void {
    const text = endpointText(endpoint);
    const before = this.#asked.get(nonce);
    // What went to two places shows nothing about either.
    const same = before === undefined || before.endpoint === text;
    this.#asked.set(nonce, { daemon, endpoint: same ? text : undefined });
  }

  echoes(peer: string, nonce: string): void {
    this.#echoed.set(nonce, peer);
  }

  /** A nonce came to `daemon`. */
  answered(daemon: string, nonce: string): void {
    const asked = this.#asked.get(nonce);
    const peer = this.#echoed.get(nonce);
    if (asked?.endpoint === undefined || asked.daemon !== daemon || peer === undefined) return;
    this.#account(daemon, peer).answered.add(asked.endpoint);
  }

  /** Authentic ESP came from the peer, wherever from. */
  earned(daemon: string, peer: Hit, bytes: number): void {
    this.#account(daemon, this.#ownerOf(peer)).earned += bytes;
  }

  /** ESP goes to the peer. True: more than was earned went to where it has not answered. */
  overdraws(daemon: string, peer: Hit, endpoint: Endpoint, bytes: number): boolean {
    const account = this.#account(daemon, this.#ownerOf(peer));
    if (account.answered.has(endpointText(endpoint))) return false;
    account.spent += bytes;
    this.total += bytes;
    return account.spent > account.earned;
  }

  /** A daemon lost its memory. */
  forget(daemon: string): void {
    for (const key of this.#accounts.keys()) if (key.startsWith(`${daemon}>`)) this.#accounts.delete(key);
  }

  #account(daemon: string, peer: string): Account {
    const key = `${daemon}>${peer}`;
    let account = this.#accounts.get(key);
    if (account === undefined) {
      account = { earned: 0, spent: 0, answered: new Set() };
      this.#accounts.set(key, account);
    }
    return account;
  }
}
