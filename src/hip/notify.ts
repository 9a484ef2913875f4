/** NOTIFY: told and heard, never acted upon (RFC 7401 5.2.19, 5.3.6, 6.13). */
import { printable } from "../core/bytes.ts";
import { macOfPacketValid } from "../crypto/signature.ts";
import { NOTIFY, notifyName } from "../wire/notification.ts";
import { getAll, has } from "../wire/packet.ts";
import { HIP_MAC, NOTIFICATION } from "../wire/rfc7401.ts";
import { type Context, drop, event, type Received, type Step, step } from "./context.ts";
import { sourceSeen } from "./mobility.ts";
import { agreementOf, type State } from "./states.ts";

const MAX_DATA_SHOWN = 32;

/**
 * A NOTIFY is informational. Ours carry HIP_MAC within an association, so that one hash tells whether the peer sent it;
 * the signature is not checked, because that would let anybody make us compute one. Without a valid HIP_MAC it counts
 * as hearsay. Either way the state does not change (6.13).
 */
export function receiveNotify<S extends State>(state: S, received: Received, cx: Context): Step {
  const { packet } = received;
  if (packet.unknownCritical.length > 0) return step(state, drop("unknown_critical_parameter"));
  const agreement = agreementOf(state);
  const authentic =
    agreement !== undefined &&
    has(packet, HIP_MAC) &&
    macOfPacketValid(packet, agreement.rhash, agreement.macIn);
  const notifications = getAll(packet, NOTIFICATION);
  if (notifications.length === 0) return step(state, drop("notify_empty"));
  // RFC 9028 5.3: it is for the NATs on its way.
  if (notifications.every(({ messageType }) => messageType === NOTIFY.NAT_KEEPALIVE)) {
    if (!authentic || (state.name !== "R2-SENT" && state.name !== "ESTABLISHED")) return step(state);
    const seen = sourceSeen(state, received.path, cx);
    return step(seen.next, seen.out);
  }
  const clone = notifications.find(({ messageType }) => messageType === NOTIFY.HIPD_DUPLICATE_IDENTITY);
  if (authentic && clone !== undefined) {
    const other = printable(clone.data.subarray(0, MAX_DATA_SHOWN));
    return step(state, event(cx, "clone-detected", { other }));
  }
  return step(
    state,
    notifications.slice(0, 4).map(({ messageType, data }) =>
      event(cx, "notify-received", {
        notification: notifyName(messageType),
        messageType,
        data: printable(data.subarray(0, MAX_DATA_SHOWN)),
        authentic: authentic ? "yes" : "no",
      }),
    ),
  );
}
