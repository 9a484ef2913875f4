/** Asks hipd everything that a report tells, and watches for a while. */
import { readFileSync } from "node:fs";
import { availableParallelism, hostname, release, totalmem } from "node:os";
import type { OverlayEvent } from "../../overlay/control.ts";
import type { ControlClient } from "../../runtime/control-client.ts";
import { eventFrom } from "../../runtime/control-convert.ts";
import { packageVersion } from "../../runtime/version.ts";
import type { LocatorList } from "../commands/locator.ts";
import { orFail } from "../context.ts";
import type { Io } from "../output.ts";
import { type Sample, takeSample } from "../sampling.ts";
import type { AssociationDetails, StatusView } from "../views.ts";
import { type Machine, observe, type Report } from "./model.ts";

/** Looks during one report, at most: more would not be seen in its plots. */
const MAX_SAMPLES = 120;
/** The shortest time between two looks, in milliseconds. */
const LEAST_INTERVAL = 500;
/** With very many peers an answer is work for hipd: it gets so many times as long to rest. */
const REST = 9;
/** Events that are kept; hipd remembers about as many. */
const MAX_EVENTS = 4_096;

/** @throws CommandFailure when hipd does not answer. */
export async function collectReport(client: ControlClient, io: Io, seconds: number): Promise<Report> {
  const events: OverlayEvent[] = [];
  const stream = client.stream<Record<string, unknown>>("WatchEvents", { since: 1 }, (message) => {
    if (events.length < MAX_EVENTS) events.push(eventFrom(message));
  });
  try {
    await stream.started;
    const samples = await watch(client, io, seconds);
    const [associations, locators] = await Promise.all([
      client.call<{ associations: readonly AssociationDetails[] }>("ListAssociations", {}),
      client.call<LocatorList>("ListLocators", {}),
    ]);
    const last = samples.at(-1) as Sample;
    return {
      madeAt: last.time,
      hipctl: packageVersion(),
      machine: thisMachine(),
      status: last.status as StatusView,
      associations: orFail(associations).associations,
      locators: orFail(locators),
      observed: observe(samples),
      events,
    };
  } finally {
    stream.cancel();
    io.progress?.("");
  }
}

/** At least two samples, evenly over the time where hipd answers fast enough. */
async function watch(client: ControlClient, io: Io, seconds: number): Promise<readonly Sample[]> {
  const millis = seconds * 1000;
  const interval = Math.max(LEAST_INTERVAL, millis / MAX_SAMPLES);
  const begun = performance.now();
  const samples: Sample[] = [];
  const spent = (): number => performance.now() - begun;
  for (let due = 0; ; ) {
    const asked = spent();
    samples.push(orFail(await takeSample(client, { at: () => performance.now(), wall: io.now })));
    if (due >= millis) return samples;
    const took = spent() - asked;
    due = Math.min(millis, Math.max(due + interval, spent() + REST * took));
    while (spent() < due) {
      io.progress?.(`watching hipd: ${Math.floor(spent() / 1000)} of ${seconds} s`);
      await new Promise((resolve) => setTimeout(resolve, Math.min(1_000, due - spent())));
    }
  }
}

export function thisMachine(): Machine {
  return {
    host: hostname(),
    kernel: release(),
    os: osName(),
    processors: availableParallelism(),
    memoryBytes: totalmem(),
  };
}

function osName(): string {
  try {
    const text = readFileSync("/etc/os-release", "utf8");
    return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(text)?.[1] ?? "Linux";
  } catch {
    return "Linux";
  }
}
