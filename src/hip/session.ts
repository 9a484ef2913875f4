/** From an agreement to installed SAs (RFC 7402 3.3, 6.5, 6.6). */
import {
  type Endpoint,
  type Instant,
  type Path,
  type Spi,
  sameEndpoint,
  wholeMillis,
} from "../core/types.ts";
import { atRest } from "./agreement.ts";
import { type Context, dropSas, event } from "./context.ts";
import type { HostOutput } from "./io.ts";
import type { Agreement } from "./job.ts";
import type { AnnouncedLocator } from "./locator-set.ts";
import { mobilityAfterExchange } from "./mobility-state.ts";
import type { SaSpec } from "./sa.ts";
import { type InboundSpis, type Session, type State, sessionOf } from "./states.ts";
import { NO_UPDATES } from "./update-state.ts";

/** The second SPI is only there with a peer that understands it; any other's packets are told apart by flow. */
export function agreedSpis(inbound: InboundSpis, agreement: Pick<Agreement, "peerLsiSpi">): InboundSpis {
  return agreement.peerLsiSpi === undefined ? { spi: inbound.spi, lsiSpi: undefined } : inbound;
}

export function inboundSa(cx: Context, agreement: Agreement, inbound: InboundSpis, path: Path): HostOutput {
  return addSa(cx, agreement, path, { direction: "in", ...inbound, ...agreement.espIn });
}

/** A second one of the same peer is only used once the route says so. */
export function outboundSa(
  cx: Context,
  agreement: Agreement,
  spi: Spi,
  lsiSpi: Spi | undefined,
  path: Path,
): HostOutput {
  return addSa(cx, agreement, path, { direction: "out", spi, lsiSpi, ...agreement.espOut });
}

function addSa(
  cx: Context,
  agreement: Agreement,
  path: Path,
  one: Pick<SaSpec, "direction" | "spi" | "lsiSpi" | "encryptionKey" | "integrityKey">,
): HostOutput {
  const sa: SaSpec = {
    ...one,
    suite: agreement.espSuite,
    localHit: cx.local,
    peerHit: cx.peer,
    path,
    inboundFamily: cx.policy?.inboundFamily ?? "hit",
    softPackets: cx.config.softPackets,
    idleAfter: cx.config.timers.unusedAssociationLifetime,
  };
  return { type: "sa-add", sa };
}

/** The SAs of a state that is being left, dropped (RFC 7402 6.7). */
export function dropSasOf(cx: Pick<Context, "peer">, state: State): readonly HostOutput[] {
  const session = sessionOf(state);
  if (session !== undefined) {
    return [...dropSas(cx, session.inbound.spi, session.outbound), ...dropOtherSas(cx, session)];
  }
  if (state.name === "I2-SENT") return dropSas(cx, state.inbound.spi);
  if (state.name === "CLOSING") return dropSas(cx, state.session.inbound.spi);
  return [];
}

/** SAs of a rekeying under way and those that were replaced. */
export function dropOtherSas(cx: Pick<Context, "peer">, session: Session): readonly HostOutput[] {
  const { rekey, former } = session;
  const begun = rekey?.keyed === undefined ? [] : dropSas(cx, rekey.inbound.spi, rekey.keyed.peerSpi);
  return [...begun, ...former.flatMap(({ inbound, outbound }) => dropSas(cx, inbound, outbound))];
}

/** One for all: most associations have none. */
const NO_SAS: Session["former"] = [];

/** With the configured locator itself in the place of an equal one: the path stays as long as the association. */
function sharedPath(path: Path, policy: Context["policy"]): Path {
  const remote = policy?.locators.find((one) => sameEndpoint(one, path.remote));
  return remote === undefined ? path : { ...path, remote };
}

/** Makes the association usable: outbound SA, route, event. The inbound SA is there already. */
export function openSession(
  cx: Context,
  made: {
    readonly agreement: Agreement;
    readonly outbound: Spi;
    readonly inbound: InboundSpis;
    readonly path: Path;
    readonly role: Session["role"];
    readonly startedAt: Instant;
    readonly answered?: Session["answered"];
    /** The peer's LOCATOR_SET in R1 or I2. */
    readonly announced?: readonly AnnouncedLocator[];
    /** Our address as the peer saw it. */
    readonly mapped?: Endpoint | undefined;
  },
): { readonly session: Session; readonly out: readonly HostOutput[] } {
  const { agreement, outbound } = made;
  const path = sharedPath(made.path, cx.policy);
  const exchangeMillis = cx.now - made.startedAt;
  const now = wholeMillis(cx.now);
  const session: Session = {
    agreement: atRest(agreement),
    inbound: made.inbound,
    outbound,
    formerSpi: undefined,
    path,
    role: made.role,
    establishedAt: now,
    exchangeMillis,
    answered: made.answered,
    updates: NO_UPDATES,
    keyedAt: now,
    rekey: undefined,
    mobility: {
      ...mobilityAfterExchange(path, now, made.announced),
      mapped: made.mapped === undefined ? undefined : { local: path.local, seen: made.mapped },
    },
    former: NO_SAS,
  };
  return {
    session,
    out: [
      outboundSa(cx, agreement, outbound, agreement.peerLsiSpi, path),
      { type: "route", peer: cx.peer, via: outbound },
      event(cx, "association-established", {
        role: made.role,
        millis: exchangeMillis,
        espSuite: agreement.espSuite,
        hipCipher: agreement.hipCipher,
        dhGroup: agreement.dhGroup,
      }),
    ],
  };
}
