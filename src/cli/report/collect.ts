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

/** At least two samples, evenly over the time. */
async function watch(client: ControlClient, io: Io, seconds: number): Promise<readonly Sample[]> {
  const millis = seconds * 1000;
  const count = Math.max(1, Math.min(MAX_SAMPLES, Math.round(millis / LEAST_INTERVAL)));
  const begun = performance.now();
  const samples: Sample[] = [];
  for (let i = 0; i <= count; i++) {
    const due = begun + (i * millis) / count;
    const left = due - performance.now();
    if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
    const spent = Math.round((performance.now() - begun) / 1000);
    io.progress?.(`watching hipd: ${Math.min(spent, seconds)} of ${seconds} s`);
    samples.push(orFail(await takeSample(client, { at: () => performance.now(), wall: io.now })));
  }
  return samples;
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
