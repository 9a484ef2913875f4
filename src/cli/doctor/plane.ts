/** The data plane: what it may use of the kernel, and what it drops. */
import { type CountedDrop, dropsIn } from "../../runtime/catalogue/drops.ts";
import type { Finding } from "../verdict.ts";
import type { DaemonFacts, MachineFacts, Plan } from "./facts.ts";
import { say, unitName } from "./say.ts";

const SILENT = "hipd does not answer";

const OFFLOADS: readonly (readonly [name: string, what: string, since: readonly [number, number]])[] = [
  ["tso", "TCP segmentation on the interface", [4, 0]],
  ["uso", "UDP segmentation on the interface", [6, 2]],
  ["gso", "sending many datagrams at once", [4, 18]],
  ["gro", "receiving many datagrams at once", [5, 0]],
];

export function checkOffloads(
  { answers }: DaemonFacts,
  plan: Plan,
  { kernel }: MachineFacts,
): readonly Finding[] {
  const { ok, warning, notChecked } = say("offloads");
  if (!answers.ok) return [notChecked(SILENT)];
  const counters = answers.value.after;
  if (!OFFLOADS.some(([name]) => `offload_${name}` in counters))
    return [notChecked("this data plane does not tell")];
  const used: string[] = [];
  const off: string[] = [];
  const findings: Finding[] = [];
  for (const [name, what, since] of OFFLOADS) {
    if (counters[`offload_${name}`] === 1) used.push(name);
    else if (!plan.offloads.includes(name)) off.push(name);
    else
      findings.push(
        warning(`${name} (${what}) is not used: ${whyNot(kernel, since)}`, remedyOf(kernel, since, plan)),
      );
  }
  const without = off.length === 0 ? "" : `; turned off by [network] offloads: ${off.join(", ")}`;
  return [ok(`in use: ${used.join(", ") || "none"}${without}`), ...findings];
}

function older(kernel: string, [major, minor]: readonly [number, number]): boolean {
  const version = /^(\d+)\.(\d+)/.exec(kernel);
  if (version === null) return false;
  const [a, b] = [Number(version[1]), Number(version[2])];
  return a < major || (a === major && b < minor);
}

function whyNot(kernel: string, since: readonly [number, number]): string {
  if (older(kernel, since)) return `it came with Linux ${since.join(".")}, this is ${kernel}`;
  return "the kernel refused it when hipd started";
}

function remedyOf(kernel: string, since: readonly [number, number], plan: Plan): string {
  if (older(kernel, since)) return `Linux ${since.join(".")} or newer; without it hipd works, but slower`;
  return `journalctl -u ${unitName(plan.file)} | grep offload; without it hipd works, but slower`;
}

/** The most that are listed. */
const TOP = 5;

export interface Growing extends CountedDrop {
  readonly perSecond: number;
}

/** Drops, those that grow fastest first, then the most frequent. */
export function growth(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  seconds: number,
): readonly Growing[] {
  const former = new Map(dropsIn(before).map(({ layer, reason, count }) => [`${layer} ${reason}`, count]));
  return dropsIn(after)
    .filter(({ count }) => count > 0)
    .map((drop) => {
      const grown = drop.count - (former.get(`${drop.layer} ${drop.reason}`) ?? 0);
      return { ...drop, perSecond: seconds > 0 ? grown / seconds : 0 };
    })
    .sort((a, b) => b.perSecond - a.perSecond || b.count - a.count);
}

export function checkDrops({ answers }: DaemonFacts): readonly Finding[] {
  const { ok, info, warning, notChecked } = say("drops");
  if (!answers.ok) return [notChecked(SILENT)];
  const { before, after, seconds } = answers.value;
  const all = growth(before, after, seconds);
  const growing = all.filter(({ perSecond }) => perSecond > 0).slice(0, TOP);
  if (growing.length > 0) {
    return growing.map(({ reason, meaning, remedy, concern, count, perSecond }) => {
      const rate = perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond);
      const text = `${reason} (${meaning}): ${rate} a second now, ${count} since the start`;
      return concern === "normal" ? info(text) : warning(text, remedy);
    });
  }
  if (all.length === 0) return [ok("nothing was dropped")];
  const top = all.slice(0, TOP).map(({ reason, count }) => `${reason} ${count}`);
  return [ok(`none now; since the start: ${top.join(", ")} (hipctl drops)`)];
}
