/** Every step from what somebody asks about to the path of its packets, each with a verdict; then one sentence about all of it. */
import { type Finding, finding } from "../verdict.ts";
import type { Facts } from "./facts.ts";
import { associationSteps, isUsable, localSteps } from "./steps.ts";

export interface Explanation {
  readonly argument: string;
  readonly service: { readonly protocol: string; readonly port: number } | null;
  /** The peer's name; null: there is none. */
  readonly peer: string | null;
  readonly hit: string | null;
  /** Whether packets can go to it at this moment. */
  readonly flows: boolean;
  readonly steps: readonly Finding[];
  /** One sentence. */
  readonly conclusion: string;
  /** What to do next. */
  readonly next: string | null;
}

const ADD = "hipctl peer add NAME --hit HIT --locator ADDRESS";

export function explain(facts: Facts): Explanation {
  const { peer, argument, service } = facts;
  const about = { argument, service, peer: peer?.name ?? null, hit: peer?.hit ?? null };
  const own = ownStep(facts);
  if (own !== undefined) {
    const conclusion = `${argument} is this host itself: its packets stay here and need no association.`;
    return {
      ...about,
      flows: false,
      steps: [own],
      conclusion,
      next: "give the name, HIT, LSI or address of a peer",
    };
  }
  const named = [argumentStep(facts), peerStep(facts)];
  if (peer === undefined) return strangers(facts, named);
  const steps = [...named, ...localSteps(facts, peer), ...associationSteps(facts, peer)];
  return { ...about, steps, ...conclude(facts, steps) };
}

function ownStep({ subject, status, argument }: Facts): Finding | undefined {
  const { self } = status;
  if (subject.kind === "name") return undefined;
  const own = [self.hit, self.lsi, ...self.identities.map(({ hit }) => hit), ...self.addresses];
  if (!own.includes(subject.address)) return undefined;
  const what = { hit: "a HIT", lsi: "the LSI", address: "an address" }[subject.kind];
  return finding("argument", "info", `${argument} is ${what} of this host`);
}

function argumentStep({ subject, argument, status }: Facts): Finding {
  const texts = {
    name: `"${argument}" is read as a peer's name`,
    hit: `${argument} is a HIT: who a host is (2001:20::/28, RFC 7343)`,
    lsi: `${argument} is an LSI: what a peer is called in IPv4 on this host only (${status.self.lsiPrefix})`,
    address: `${argument} is an address of the underlying network: where hosts are, not who they are`,
  };
  return finding("argument", "ok", texts[subject.kind]);
}

function peerStep({ peer, refusal, others }: Facts): Finding {
  if (peer === undefined) {
    const [what = "there is no such peer", hint] = (refusal ?? "").split("; ");
    return finding("peer", "problem", what, hint ?? "hipctl peer list shows them all");
  }
  const origin = peer.file === "" ? "added at run time" : peer.file;
  const also = others.length === 0 ? "" : `; also there: ${others.join(", ")}`;
  const facts = `${peer.name} (${origin}), HIT ${peer.hit ?? "not known yet"}, LSI ${peer.lsi ?? "none yet"}${also}`;
  if (peer.hit !== null) return finding("peer", "ok", facts);
  return finding(
    "peer",
    "warning",
    `${facts}: opportunistic, whoever answers first is believed`,
    `hipctl connect ${peer.name}`,
  );
}

/** Nobody that is configured. */
function strangers(facts: Facts, named: readonly Finding[]): Explanation {
  const { subject, argument, service } = facts;
  const hit = subject.kind === "hit" ? subject.address : null;
  const add = hit === null ? ADD : ADD.replace("HIT", hit);
  const denied =
    subject.kind === "address"
      ? "packets to an address of the underlying network do not pass through the overlay"
      : "hipd talks to configured peers only (default deny); packets for others are answered with ICMP host unreachable";
  const verdict = subject.kind === "address" ? "info" : "problem";
  const steps = [...named, finding("policy", verdict, denied, subject.kind === "address" ? null : add)];
  const reason = (facts.refusal ?? "there is no such peer").split("; ")[0];
  return {
    argument,
    service,
    peer: null,
    hit,
    flows: false,
    steps,
    conclusion: `Nothing can flow to ${argument} through the overlay: ${reason}.`,
    next: subject.kind === "name" ? (named[1]?.remedy ?? add) : add,
  };
}

function conclude(
  facts: Facts,
  steps: readonly Finding[],
): Pick<Explanation, "flows" | "conclusion" | "next"> {
  const { peer, association, argument } = facts;
  const name = peer?.name ?? argument;
  const problem = steps.find(({ verdict }) => verdict === "problem");
  if (problem !== undefined) {
    const conclusion = `Traffic to ${name} cannot flow now: ${problem.check}: ${problem.text.split("\n")[0]}.`;
    return { flows: false, conclusion, next: problem.remedy };
  }
  const warning = steps.find(({ verdict, remedy }) => verdict === "warning" && remedy !== null);
  if (isUsable(association)) {
    const but = warning === undefined ? "" : `, but look at "${warning.check}"`;
    return {
      flows: true,
      conclusion: `Traffic to ${name} can flow now${but}.`,
      next: warning?.remedy ?? null,
    };
  }
  return {
    flows: false,
    conclusion: `Traffic to ${name} cannot flow yet: nothing that can be seen from here forbids it, but there is no usable association; the first packet makes one.`,
    next: warning?.remedy ?? `hipctl connect ${name}`,
  };
}
