/** Asks hipd, then the peers. */
import type { ControlClient } from "../../runtime/control-client.ts";
import { orFail } from "../context.ts";
import type { Answers, Whereabouts } from "../doctor/facts.ts";
import type { StatusView } from "../views.ts";
import { PROBES, probeAll } from "./probe.ts";
import { type Known, type NetReport, netReport, type ProbeView } from "./report.ts";

/** Peers that are sent echo requests when none is named. */
export const MAX_PROBED = 64;

export interface Plan {
  /** Names, HITs or LSIs; none: all. */
  readonly peers: readonly string[];
  readonly probe: "none" | "associated" | "all";
  readonly progress: (text: string) => void;
  readonly onCancel: (cancel: () => void) => void;
}

export async function netcheck(client: ControlClient, plan: Plan): Promise<NetReport> {
  const first = await ask(client, plan.peers);
  const states = new Map(first.status.peers.map(({ name, state }) => [name, state]));
  const chosen = first.peers
    .map(({ name }) => name)
    .filter(
      (name) => plan.probe === "all" || (plan.probe === "associated" && states.get(name) === "ESTABLISHED"),
    )
    .slice(0, plan.peers.length > 0 ? undefined : MAX_PROBED);
  if (chosen.length === 0) return netReport(first, new Map());
  const total = `${chosen.length} peer${chosen.length === 1 ? "" : "s"}`;
  plan.progress(`sending echo requests to ${total} ...`);
  const probes: ReadonlyMap<string, ProbeView> = await probeAll(
    client,
    chosen,
    PROBES,
    (done) => plan.progress(`echo requests: ${done} of ${total} done`),
    plan.onCancel,
  );
  plan.progress("");
  return netReport(await ask(client, plan.peers), probes);
}

async function ask(client: ControlClient, peers: readonly string[]): Promise<Known> {
  type Locators = Pick<Answers, "own" | "peers">;
  const status = orFail(await client.call<StatusView>("GetStatus", {}));
  const whereabouts = orFail(await client.call<Whereabouts>("GetWhereabouts", {}));
  if (peers.length === 0) {
    return { status, whereabouts, ...orFail(await client.call<Locators>("ListLocators", {})) };
  }
  const lists: Locators[] = [];
  for (const peer of peers) lists.push(orFail(await client.call<Locators>("ListLocators", { peer })));
  const own = orFail(await client.call<Locators>("ListLocators", {})).own;
  return { status, whereabouts, own, peers: lists.flatMap((list) => list.peers) };
}
