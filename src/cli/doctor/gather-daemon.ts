/** What a running hipd says about itself. */
import { ok, type Result } from "../../core/types.ts";
import { type ClientError, ControlClient } from "../../runtime/control-client.ts";
import type { NamesStatus } from "../../runtime/dns/names.ts";
import type { AssociationDetails, StatusView } from "../views.ts";
import type { Answers, Whereabouts } from "./facts.ts";

/** Drops that grow show within this. */
const SAMPLE_MILLIS = 1_000;
/** A hipd that needs longer for a simple answer is in trouble. */
const ANSWER_MILLIS = 5_000;

type Counters = { readonly counters: Readonly<Record<string, number>> };
type Locators = Pick<Answers, "own" | "peers">;

/** `sampleMillis`: the time between two looks at the counters. */
export async function askDaemon(
  socket: string,
  sampleMillis: number = SAMPLE_MILLIS,
): Promise<Result<Answers, ClientError>> {
  const client = ControlClient.open(socket);
  if (!client.ok) return client;
  const { value: hipd } = client;
  const ask = <T>(method: string): Promise<Result<T, ClientError>> => hipd.call<T>(method, {}, ANSWER_MILLIS);
  try {
    const begun = performance.now();
    const before = await ask<Counters>("GetCounters");
    if (!before.ok) return before;
    const status = await ask<StatusView>("GetStatus");
    if (!status.ok) return status;
    const associations = await ask<{ associations: readonly AssociationDetails[] }>("ListAssociations");
    if (!associations.ok) return associations;
    const locators = await ask<Locators>("ListLocators");
    if (!locators.ok) return locators;
    const whereabouts = await ask<Whereabouts>("GetWhereabouts");
    const names = await ask<NamesStatus>("GetNames");
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, sampleMillis - (performance.now() - begun))),
    );
    const after = await ask<Counters>("GetCounters");
    if (!after.ok) return after;
    const { own, peers } = locators.value;
    return ok({
      status: status.value,
      associations: associations.value.associations,
      own,
      peers,
      whereabouts: whereabouts.ok ? whereabouts.value : undefined,
      names: names.ok ? names.value : undefined,
      before: before.value.counters,
      after: after.value.counters,
      seconds: (performance.now() - begun) / 1000,
    });
  } finally {
    hipd.close();
  }
}
