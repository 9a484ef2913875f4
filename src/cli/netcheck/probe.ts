/** Echo requests to many peers, a few at a time. */
import type { ControlClient } from "../../runtime/control-client.ts";
import { pingReply } from "../../runtime/control-convert.ts";
import type { ProbeView } from "./report.ts";

/** Peers that are asked at once. */
const AT_ONCE = 8;

export interface ProbePlan {
  readonly count: number;
  readonly intervalMillis: number;
  readonly timeoutMillis: number;
  readonly bytes: number;
}

export const PROBES: ProbePlan = { count: 3, intervalMillis: 200, timeoutMillis: 2_000, bytes: 56 };

/** Gives what each peer answered, by name; `cancelled` ends it early. */
export async function probeAll(
  client: ControlClient,
  peers: readonly string[],
  plan: ProbePlan,
  progress: (done: number) => void,
  onCancel: (cancel: () => void) => void,
): Promise<ReadonlyMap<string, ProbeView>> {
  const found = new Map<string, ProbeView>();
  const waiting = [...peers];
  const running = new Set<() => void>();
  onCancel(() => {
    waiting.length = 0;
    for (const cancel of running) cancel();
  });
  const worker = async (): Promise<void> => {
    for (let peer = waiting.shift(); peer !== undefined; peer = waiting.shift()) {
      found.set(peer, await probe(client, peer, plan, running));
      progress(found.size);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, peers.length) }, worker));
  return found;
}

async function probe(
  client: ControlClient,
  peer: string,
  plan: ProbePlan,
  running: Set<() => void>,
): Promise<ProbeView> {
  const times: number[] = [];
  let lost = 0;
  const stream = client.stream<Record<string, unknown>>("Ping", { peer, ...plan }, (message) => {
    const reply = pingReply(message);
    if (reply?.type === "ping-reply") times.push(reply.rttMillis);
    else if (reply?.type === "ping-lost") lost++;
  });
  const cancel = (): void => stream.cancel();
  running.add(cancel);
  const ended = await stream.done;
  running.delete(cancel);
  const received = times.length;
  const some = received > 0;
  return {
    sent: received + lost,
    received,
    minMillis: some ? Math.min(...times) : null,
    meanMillis: some ? times.reduce((sum, one) => sum + one, 0) / received : null,
    maxMillis: some ? Math.max(...times) : null,
    error: ended.ok || ended.error.code === "cancelled" ? null : ended.error.message,
  };
}
