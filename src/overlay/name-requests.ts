/** The overlay's peers, and this host, as DNS asks for them. */
import { ok } from "../core/types.ts";
import type { Answer } from "./changes.ts";
import { answerName, DEFAULT_NAMES, type NamedHost, type NameSource } from "./name-answers.ts";
import type { Overlay } from "./overlay.ts";
import type { Peer } from "./peers.ts";

/** Answers one question; see `answerName`. */
export function nameQuery(overlay: Overlay, name: string, type: number): Answer {
  return ok({ type: "name-answer", answer: answerName(name, type, new OverlayNames(overlay)) });
}

/** A peer goes before this host when both have one name: it was written down on purpose. */
class OverlayNames implements NameSource {
  readonly #overlay: Overlay;

  constructor(overlay: Overlay) {
    this.#overlay = overlay;
  }

  get config(): NameSource["config"] {
    return this.#overlay.config.names ?? DEFAULT_NAMES;
  }

  get lsiPrefix(): NameSource["lsiPrefix"] {
    return this.#overlay.config.lsiPrefix;
  }

  named(name: string): NamedHost | undefined {
    const peer = this.#overlay.peers.named(name);
    if (peer !== undefined) return this.#host(peer);
    return name === this.config.host ? this.#own() : undefined;
  }

  byLsi(lsi: Parameters<NameSource["byLsi"]>[0]): NamedHost | undefined {
    if (lsi === this.#overlay.ownLsi) return this.#ownName();
    const hit = this.#overlay.lsis.hit(lsi);
    return hit === undefined ? undefined : this.#known(hit);
  }

  byHit(hit: Parameters<NameSource["byHit"]>[0]): NamedHost | undefined {
    if (this.#overlay.config.identities.some((one) => one.hit === hit)) return this.#ownName();
    return this.#known(hit);
  }

  hasBelow(ending: string): boolean {
    return this.#overlay.peers.names.hasBelow(ending) || this.config.host.endsWith(`.${ending}`);
  }

  #known(hit: Parameters<NameSource["byHit"]>[0]): NamedHost | undefined {
    const peer = this.#overlay.peers.byHit(hit);
    return peer === undefined ? undefined : this.#host(peer);
  }

  #host(peer: Peer): NamedHost {
    const { hit, lsi, config } = peer;
    const key = hit === undefined ? undefined : this.#overlay.association(peer)?.peerKey?.();
    return {
      name: config.name,
      hit,
      lsi,
      key: hit === undefined || key === undefined ? undefined : { hit, ...key },
    };
  }

  /** The way back leads to a name that leads here. */
  #ownName(): NamedHost | undefined {
    const { host } = this.config;
    return host === "" || this.#overlay.peers.named(host) !== undefined ? undefined : this.#own();
  }

  #own(): NamedHost {
    const { identities, defaultIdentity } = this.#overlay.config;
    const own = identities.find(({ hit }) => hit === defaultIdentity);
    const key = own?.key;
    return {
      name: this.config.host,
      lsi: this.#overlay.ownLsi,
      hit: defaultIdentity,
      key: key === undefined ? undefined : { hit: defaultIdentity, ...key },
    };
  }
}
