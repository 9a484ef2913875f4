/** NAT keepalives: only where a NAT is on the path (RFC 9028 4.10, 5.3). */
import { parseIp } from "../core/ip.ts";
import { after, type Endpoint, type Instant, sameEndpoint } from "../core/types.ts";
import { NOTIFY } from "../wire/notification.ts";
import { type Stay, stay, withMobility } from "./checks.ts";
import { type Context, drop } from "./context.ts";
import { notifyDraft } from "./messages.ts";
import type { Open, Session } from "./states.ts";

/** Tr may be longer, never shorter. */
const TR_LEAST = 15_000;

/**
 * Whether our packets pass a NAT: the peer told us from where it sees them, and that is not where they left. A peer that
 * does not tell is believed to be behind none, unless a private address of ours talks to a public one.
 */
export function natOnPath({ path, mobility }: Session): boolean {
  if (path.carrier !== "udp" || path.local.address === "") return false;
  const { mapped } = mobility;
  if (mapped !== undefined && sameEndpoint(mapped.local, path.local))
    return !sameEndpoint(mapped.seen, path.local);
  return isPrivate(path.local) && !isPrivate(path.remote);
}

/** RFC 1918 and RFC 6598. */
function isPrivate({ address }: Endpoint): boolean {
  const bytes = parseIp(address);
  if (bytes === undefined || bytes.length !== 4) return false;
  const [a, b] = bytes as Uint8Array & { readonly 0: number; readonly 1: number };
  return (
    a === 10 ||
    (a === 172 && (b as number) >= 16 && (b as number) < 32) ||
    (a === 192 && b === 168) ||
    (a === 100 && (b as number) >= 64 && (b as number) < 128)
  );
}

function interval(cx: Pick<Context, "config">): number {
  return Math.max(TR_LEAST, cx.config.mobility.keepalive);
}

/** Data or a HIP packet went to the peer: the next keepalive can wait. */
export function keepaliveLater(state: Open, cx: Context): Open {
  const { session } = state;
  const keepaliveAt = natOnPath(session) ? after(cx.now, interval(cx)) : undefined;
  return keepaliveAt === session.mobility.keepaliveAt ? state : withMobility(state, { keepaliveAt });
}

/** When it is due: one NOTIFY along the path in use. */
export function keepaliveTimeout(state: Open, cx: Context): Stay {
  const { session } = state;
  const due: Instant | undefined = session.mobility.keepaliveAt;
  if (due === undefined || due > cx.now) return stay(state);
  const next = keepaliveLater(state, cx);
  if (next.session.mobility.keepaliveAt === undefined) return stay(next);
  const { agreement, path } = session;
  const started = cx.start(
    {
      kind: "seal",
      localHit: cx.local,
      draft: notifyDraft(cx.local, cx.peer, NOTIFY.NAT_KEEPALIVE, new Uint8Array(0)),
      rhash: agreement.rhash,
      macKey: agreement.macOut,
    },
    { kind: "seal", sealed: { what: "keepalive" }, path },
  );
  return stay(next, started ? [] : drop("jobs_full"));
}
