/** Brings a host into each state of RFC 7401 4.4.2 through real exchanges, and makes a valid packet of each kind for it. */
import type { HostConfig } from "../../src/hip/config.ts";
import type { StateName } from "../../src/hip/io.ts";
import { i1 } from "../../src/hip/messages.ts";
import { NOTIFY } from "../../src/wire/notification.ts";
import { get, type PacketName } from "../../src/wire/packet.ts";
import { ECHO_REQUEST_SIGNED, ECHO_RESPONSE_SIGNED, NOTIFICATION, SEQ } from "../../src/wire/rfc7401.ts";
import { i2Of, r1Of, read, sealed } from "./packets.ts";
import { greaterFirst, Pair } from "./pair.ts";

export const PACKETS: readonly PacketName[] = [
  "I1",
  "R1",
  "I2",
  "R2",
  "UPDATE",
  "NOTIFY",
  "CLOSE",
  "CLOSE_ACK",
];

/** A pair whose host `a` is in a state towards `b`. Nothing is delivered any more but what the test delivers. */
export interface Reached {
  readonly pair: Pair;
  /** What `a` answers to an I1 of `b`, taken before everything else: in I1-SENT it may not answer. */
  readonly r1OfA: Uint8Array;
}

export interface ReachOptions {
  /** Whether the HIT of `a` is the greater one. */
  readonly greater?: boolean;
  readonly config?: Partial<HostConfig>;
}

export function reach(state: StateName, options: ReachOptions = {}): Reached {
  const [greater, lesser] = greaterFirst();
  const [a, b] = (options.greater ?? true) ? [greater, lesser] : [lesser, greater];
  const pair = new Pair({ a: [a], b: [b], config: { dhGroups: [7], ...options.config } });
  const r1OfA = r1Of(pair, pair.a, pair.b);
  pair.now = (pair.now + 100) as never;
  ROADS[state](pair);
  if (pair.a.state(pair.b) !== state) throw new Error(`${pair.a.state(pair.b)} instead of ${state}`);
  pair.filter = () => false;
  return { pair, r1OfA };
}

const ROADS: Readonly<Record<StateName, (pair: Pair) => void>> = {
  UNASSOCIATED: () => {},
  "I1-SENT": (pair) => {
    pair.filter = () => false;
    pair.connect(pair.a);
  },
  "I2-SENT": (pair) => {
    pair.filter = ({ name }) => name !== "R2";
    pair.connect(pair.a);
    pair.run(() => pair.sent(pair.b, "R2") !== undefined);
  },
  "R2-SENT": (pair) => {
    pair.establish(pair.b);
  },
  ESTABLISHED: (pair) => {
    pair.establish(pair.a);
    // It has called since: an I2 of it is that of a new exchange.
    r1Of(pair, pair.a, pair.b);
    pair.now = (pair.now + 100) as never;
  },
  CLOSING: (pair) => {
    pair.establish(pair.a);
    pair.filter = () => false;
    pair.close(pair.a);
  },
  CLOSED: (pair) => {
    pair.establish(pair.a);
    pair.filter = ({ name }) => name !== "CLOSE_ACK";
    pair.close(pair.b);
    pair.run(() => pair.sent(pair.a, "CLOSE_ACK") !== undefined);
  },
  "E-FAILED": (pair) => {
    pair.filter = () => false;
    pair.connect(pair.a);
    pair.run(() => pair.a.state(pair.b) === "E-FAILED");
  },
};

/** A packet of `b` that is as valid as one can be in the state that `a` is in. */
export function validPacket({ pair, r1OfA }: Reached, name: PacketName): Uint8Array {
  const { a, b } = pair;
  switch (name) {
    case "I1":
      return i1(b.hit, a.hit, b.config.dhGroups);
    case "R1":
      return freshR1(pair);
    case "I2":
      return i2Of(b, r1OfA);
    case "R2":
      return pair.sent(b, "R2") ?? strangeR2();
    case "UPDATE":
      return sealed(b, a.hit, "UPDATE", [
        SEQ.of({ updateId: 0 }),
        ECHO_REQUEST_SIGNED.of({ data: b.random.bytes(8) }),
      ]);
    case "NOTIFY":
      return sealed(b, a.hit, "NOTIFY", [
        NOTIFICATION.of({ messageType: NOTIFY.HIP_MAC_FAILED, data: new Uint8Array(0) }),
      ]);
    case "CLOSE":
      return sealed(b, a.hit, "CLOSE", [ECHO_REQUEST_SIGNED.of({ data: b.random.bytes(16) })]);
    case "CLOSE_ACK": {
      const close = pair.sent(a, "CLOSE");
      const data = close && get(read(close), ECHO_REQUEST_SIGNED)?.data;
      return sealed(b, a.hit, "CLOSE_ACK", [ECHO_RESPONSE_SIGNED.of({ data: data ?? b.random.bytes(16) })]);
    }
  }
}

/** An R1 of a greater generation than those that were sent. */
export function freshR1(pair: Pair): Uint8Array {
  const { a, b } = pair;
  const before = r1Of(pair, b, a);
  pair.now = (pair.now + 1_100) as never;
  r1Of(pair, b, a);
  pair.now = (pair.now + 100) as never;
  const after = r1Of(pair, b, a);
  return b.host.associations().length > 0 ? after : before;
}

let strange: Uint8Array | undefined;

/** The R2 of another exchange of the same two. */
function strangeR2(): Uint8Array {
  const { pair } = reach("ESTABLISHED");
  strange ??= pair.sent(pair.b, "R2");
  return strange as Uint8Array;
}
