/** An overlay around a protocol that only writes down what it is asked, and says what the test tells it to. */
import { parsePrefix } from "../../src/core/ip.ts";
import type { Endpoint, Hit, Instant, Path, Spi } from "../../src/core/types.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import type {
  AssociationView,
  HostInput,
  HostOutput,
  PathDetails,
  PeerLocatorDetails,
} from "../../src/hip/io.ts";
import type { OverlayConfig, PeerConfig } from "../../src/overlay/config.ts";
import type { ControlReply, RequestId } from "../../src/overlay/control.ts";
import type { OverlayInput, OverlayOutput } from "../../src/overlay/io.ts";
import { Overlay, type Protocol } from "../../src/overlay/overlay.ts";
import type { LocalAddress } from "../../src/overlay/own-locators.ts";
import type { OverlayRequest } from "../../src/overlay/requests.ts";
import { SeededRandom } from "./random.ts";

export const SELF = "20010022aaaaaaaaaaaaaaaaaaaaaaaa" as Hit;
export const SECOND_SELF = "20010022abababababababababababab" as Hit;
export const BOB = "20010022bbbbbbbbbbbbbbbbbbbbbbbb" as Hit;
export const CAROL = "20010022cccccccccccccccccccccccc" as Hit;
export const WALL = Date.UTC(2030, 0, 1);

export function peerConfig(
  name: string,
  hit: Hit | undefined,
  changes: Partial<PeerConfig> = {},
): PeerConfig {
  return {
    name,
    hit,
    localHit: undefined,
    carrier: "udp",
    locators: [{ address: "192.0.2.10", port: 10500 }],
    inboundFamily: "hit",
    source: "config",
    file: "/etc/hipd/hipd.toml",
    ...changes,
  };
}

export function overlayConfig(changes: Partial<OverlayConfig> = {}): OverlayConfig {
  const prefix = parsePrefix("198.18.0.0/15");
  if (!prefix.ok) throw new Error(prefix.error);
  return {
    identities: [identityConfig(SELF), identityConfig(SECOND_SELF)],
    defaultIdentity: SELF,
    host: DEFAULT_CONFIG,
    peers: [peerConfig("bob", BOB)],
    port: 10500,
    lsiPrefix: prefix.value,
    ...changes,
  };
}

export function identityConfig(hit: Hit): OverlayConfig["identities"][number] {
  return { hit, suite: 2, algorithm: "ECDSA P-256", file: "/var/lib/hipd/identity.pem" };
}

export const PATH: Path = {
  carrier: "udp",
  local: { address: "192.0.2.1", port: 10500 },
  remote: { address: "192.0.2.10", port: 10500 },
};

export function association(peer: Hit, changes: Partial<AssociationView> = {}): AssociationView {
  return {
    local: SELF,
    peer,
    state: "ESTABLISHED",
    role: "initiator",
    path: PATH,
    espSuite: 13,
    hipCipher: 2,
    dhGroup: 7,
    inSpi: 0x1111 as Spi,
    outSpi: 0x2222 as Spi,
    exchangeMillis: 42,
    since: 0,
    establishedAt: 0,
    peerDomain: "",
    ...changes,
  };
}

export class FakeProtocol implements Protocol {
  readonly inputs: HostInput[] = [];
  readonly configured: string[] = [];
  readonly views = new Map<Hit, AssociationView>();
  /** What the next inputs give, by their type. */
  readonly answers = new Map<HostInput["type"], (input: HostInput) => readonly HostOutput[]>();
  due: Instant | undefined;
  readonly last = new Map<Hit, readonly Endpoint[]>();
  readonly pathsOf = new Map<Hit, readonly PathDetails[]>();
  readonly locatorsOf = new Map<Hit, readonly PeerLocatorDetails[]>();

  paths(peer: Hit): readonly PathDetails[] {
    return this.pathsOf.get(peer) ?? [];
  }
  peerLocators(peer: Hit): readonly PeerLocatorDetails[] {
    return this.locatorsOf.get(peer) ?? [];
  }
  lastLocators(peer: Hit): readonly Endpoint[] {
    return this.last.get(peer) ?? [];
  }

  handle(input: HostInput): readonly HostOutput[] {
    this.inputs.push(input);
    return this.answers.get(input.type)?.(input) ?? [];
  }
  deadline(): ReturnType<Protocol["deadline"]> {
    return this.due === undefined ? undefined : { at: this.due, why: "fake" };
  }
  configure(...[, identities]: Parameters<Protocol["configure"]>): readonly HostOutput[] {
    this.configured.push(identities.map(({ hit }) => hit).join(" "));
    return [];
  }
  association(peer: Hit): AssociationView | undefined {
    return this.views.get(peer);
  }
  associations(): readonly AssociationView[] {
    return [...this.views.values()];
  }
  gauges(): ReturnType<Protocol["gauges"]> {
    return { puzzleDifficulty: 4, jobsInFlight: 2, associations: this.views.size, r1Generations: 3 };
  }

  asked(type: HostInput["type"]): readonly HostInput[] {
    return this.inputs.filter((input) => input.type === type);
  }
}

/** An overlay with its outputs collected, and a clock that the test turns. */
export class Bench {
  readonly fake = new FakeProtocol();
  readonly overlay: Overlay;
  outputs: OverlayOutput[] = [];
  now = 1000;
  #requests = 0;

  constructor(config: OverlayConfig = overlayConfig(), saved: unknown = undefined) {
    const made = Overlay.create({
      config,
      facts: { version: "1.2.3", interface: "hip0" },
      saved,
      random: new SeededRandom(1),
      makeProtocol: () => this.fake,
    });
    if (!made.ok) throw new Error(made.error);
    this.overlay = made.value;
  }

  start(): this {
    this.give({ type: "start" });
    return this;
  }

  /** Hands in one input; its outputs, which are also remembered. */
  give(input: OverlayInput): readonly OverlayOutput[] {
    const out = this.overlay.handle(input, this.now as Instant, WALL + this.now);
    this.outputs.push(...out);
    return out;
  }

  /** Lets something come out of the protocol. */
  says(...outputs: readonly HostOutput[]): readonly OverlayOutput[] {
    this.fake.answers.set("timeout", () => outputs);
    const out = this.give({ type: "timeout" });
    this.fake.answers.delete("timeout");
    return out;
  }

  /** Makes a peer usable, as after an exchange. */
  establish(peer: Hit): readonly OverlayOutput[] {
    this.fake.views.set(peer, association(peer, { since: this.now, establishedAt: this.now }));
    return this.says(
      { type: "route", peer, via: 0x2222 as Spi },
      { type: "event", name: "association-established", local: SELF, peer, detail: { role: "initiator" } },
    );
  }

  ask(request: OverlayRequest, traffic: OverlayTraffic = []): RequestId {
    const id = ++this.#requests as RequestId;
    this.give({ type: "request", id, request, counts: { traffic, counters: { udp_packets_total: 7 } } });
    return id;
  }

  replies(id: RequestId): readonly ControlReply[] {
    return this.outputs.flatMap((output) =>
      output.type === "reply" && output.id === id ? [output.reply] : [],
    );
  }

  /** The only answer of a request. */
  answer(request: OverlayRequest, traffic: OverlayTraffic = []): ControlReply {
    const replies = this.replies(this.ask(request, traffic));
    if (replies.length !== 1) throw new Error(`${replies.length} answers to ${request.type}`);
    return replies[0] as ControlReply;
  }

  finished(id: RequestId): boolean {
    return this.outputs.some((output) => output.type === "reply" && output.id === id && output.last);
  }
}

type OverlayTraffic = Extract<OverlayInput, { type: "traffic" }>["traffic"];

/** The outputs of these types, in order. */
export function only<T extends OverlayOutput["type"]>(
  outputs: readonly OverlayOutput[],
  ...types: readonly T[]
): readonly Extract<OverlayOutput, { type: T }>[] {
  return outputs.filter((output): output is Extract<OverlayOutput, { type: T }> =>
    (types as readonly string[]).includes(output.type),
  );
}

/** An address of the host as the kernel tells it. */
export function localAddress(address: string, more: Partial<LocalAddress> = {}): LocalAddress {
  return {
    address,
    interface: "eth0",
    deprecated: false,
    temporary: false,
    preferredSeconds: undefined,
    metric: 100,
    defaultSource: true,
    ...more,
  };
}
