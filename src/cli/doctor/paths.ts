/** Peers, the paths to them, and whether anybody reaches us. */

import { hostOf } from "../endpoint.ts";
import { ago } from "../output.ts";
import type { Finding } from "../verdict.ts";
import type { Answers, DaemonFacts, MachineFacts, NameFacts } from "./facts.ts";
import { say, some } from "./say.ts";

const SILENT = "hipd does not answer";
/** An answer is fresh for so long, in milliseconds. */
const LATELY = 5 * 60_000;
/** A failure is worth telling for so long. */
const FAILED_LATELY = 60 * 60_000;
const MAX_PEERS_SHOWN = 10;

/** Whether our port is reached from outside: only a peer can tell. */
export function checkReachability({ answers }: DaemonFacts, { now }: MachineFacts): readonly Finding[] {
  const { ok, warning, notChecked } = say("reachability");
  if (!answers.ok) return [notChecked(SILENT)];
  const { associations, peers, status } = answers.value;
  if (status.peers.length === 0)
    return [notChecked("there is no peer to tell", "hipctl peer add NAME --hit HIT --locator ADDRESS")];
  const established = associations.filter(({ state }) => state === "ESTABLISHED" || state === "R2-SENT");
  const called = established.filter(({ role }) => role === "responder");
  if (called.length > 0) {
    return [ok(`reached from outside: ${some(called.map(({ name }) => name))} called this host`)];
  }
  const heard = peers.flatMap(({ name, paths }) =>
    paths
      .filter(({ heardAt }) => heardAt !== null && now - Date.parse(heardAt) < LATELY)
      .map(({ heardAt, path }) => ({ name, heardAt: heardAt as string, path })),
  );
  const latest = heard.sort((a, b) => Date.parse(b.heardAt) - Date.parse(a.heardAt))[0];
  const open = "whether this host can be called from outside is not known: no peer has called it since";
  if (latest !== undefined) {
    return [ok(`${latest.name} answered at ${latest.path.local} ${ago(latest.heardAt, now)} ago; ${open}`)];
  }
  if (established.length > 0) {
    return [
      ok(`${some(established.map(({ name }) => name))} answered when the association was made; ${open}`),
    ];
  }
  const failing = status.peers.filter(({ lastError }) => lastError !== null);
  if (failing.length === 0) {
    return [notChecked("no association yet", `hipctl connect ${status.peers[0]?.name ?? "PEER"}`)];
  }
  const port = `UDP ${status.self.port}`;
  return [
    warning(
      `no peer has answered, nor called this host: ${some(failing.map(({ name }) => name))} did not answer`,
      `let ${port} in and out here, at the peers and between (security groups, routers); then: hipctl connect ${failing[0]?.name}`,
    ),
  ];
}

export function checkAssociations({ answers }: DaemonFacts, { now }: MachineFacts): readonly Finding[] {
  const { ok, problem, warning, notChecked } = say("peers");
  if (!answers.ok) return [notChecked(SILENT)];
  const { peers } = answers.value.status;
  if (peers.length === 0)
    return [notChecked("no peer is configured", "hipctl peer add NAME --hit HIT --locator ADDRESS")];
  const failed = peers.filter(
    ({ state, lastErrorAt }) =>
      state !== "ESTABLISHED" && lastErrorAt !== null && now - Date.parse(lastErrorAt) < FAILED_LATELY,
  );
  const unverified = peers.filter(({ pathState }) => pathState === "unverified");
  const up = peers.filter(({ state }) => state === "ESTABLISHED").length;
  const findings: Finding[] = failed
    .slice(0, MAX_PEERS_SHOWN)
    .map(({ name, lastError, lastErrorAt, state }) => {
      const text = `${name} (${state}) failed ${ago(lastErrorAt, now)} ago: ${lastError}`;
      return problem(text, remedyOf(name, lastError ?? ""));
    });
  if (failed.length > MAX_PEERS_SHOWN) {
    findings.push(problem(`${failed.length - MAX_PEERS_SHOWN} more peers failed`, "hipctl peer list"));
  }
  for (const { name, path } of unverified.slice(0, MAX_PEERS_SHOWN)) {
    const text = `${name} has not answered along ${path?.local} > ${path?.remote} yet`;
    findings.push(warning(text, `hipctl ping ${name}; hipctl locator list ${name}`));
  }
  if (findings.length > 0) return findings;
  return [ok(`${up} of ${peers.length} associated; none failed within the last hour`)];
}

/** By what the error says. */
function remedyOf(name: string, error: string): string {
  if (/identity|clone/i.test(error)) return "two hosts have one identity: hipctl identity new on one of them";
  if (/authentication|signature|HIT|host_id/i.test(error))
    return `compare hipctl peer show ${name} with hipctl status there`;
  if (/refused|BLOCKED|policy|not_configured/i.test(error))
    return `add this host there: hipctl peer add, with the HIT of hipctl status here`;
  if (/no locator/i.test(error)) return `give ${name} a locator, or let it speak first`;
  return `hipctl why ${name}; then: hipctl connect ${name}`;
}

/** What BEET adds (docs/ARCHITECTURE.md), by the family outside, and the least that IPv6 needs. */
const OVERHEAD = { ipv4: 22, ipv6: 42 } as const;
const IPV6_LEAST = 1280;

export function checkMtu(
  { answers }: DaemonFacts,
  linkMtu: (name: string) => number | undefined,
): readonly Finding[] {
  const { ok, warning, notChecked } = say("mtu");
  if (!answers.ok) return [notChecked(SILENT)];
  const { peers, status } = answers.value;
  const used = peers.flatMap(({ name, paths }) =>
    paths
      .filter(({ inUse, mtu }) => inUse && mtu !== null)
      .map(({ path, mtu }) => {
        const over = hostOf(path.remote).includes(":") ? OVERHEAD.ipv6 : OVERHEAD.ipv4;
        return { name, mtu: mtu as number, inner: (mtu as number) - over };
      }),
  );
  const mtu = linkMtu(status.self.interface);
  if (used.length === 0) return [notChecked("no path is in use")];
  const narrow = used.filter(({ inner }) => inner < IPV6_LEAST);
  const findings = narrow
    .slice(0, MAX_PEERS_SHOWN)
    .map(({ name, mtu: path, inner }) =>
      warning(
        `the path to ${name} carries ${path} bytes: ${inner} inside, less than the ${IPV6_LEAST} that IPv6 needs`,
        `find the narrow link: tracepath to its address in hipctl locator list ${name}; use LSIs (IPv4) meanwhile`,
      ),
    );
  if (findings.length > 0) return findings;
  const least = used.reduce((a, b) => (b.inner < a.inner ? b : a));
  const own = mtu === undefined ? "" : `${status.self.interface} has MTU ${mtu}; `;
  const smaller = mtu !== undefined && least.inner < mtu;
  const told = smaller ? `; larger packets are answered with "packet too big"` : "";
  return [
    ok(`${own}the narrowest path, to ${least.name}, carries ${least.inner} bytes inside ${least.mtu}${told}`),
  ];
}

export function checkNames({ answers }: DaemonFacts, names: NameFacts | undefined): readonly Finding[] {
  const { ok, info, warning, problem, notChecked } = say("names");
  if (!answers.ok) return [notChecked(SILENT)];
  if (names === undefined) return [notChecked("this hipd does not tell")];
  const { status, wiring, lookup } = names;
  const zone = `names below ${status.domain}`;
  if (status.listen === null) {
    const text = `nobody answers for ${zone}: ${status.listenReason}`;
    return /\boff\b/.test(status.listenReason) ? [info(text)] : [warning(text, "hipctl dns status")];
  }
  if (wiring.way === "none") {
    return [info(`hipd answers for ${zone} at ${status.listen}, but nobody here asks it: ${wiring.reason}`)];
  }
  if (lookup === undefined) return [ok(`${wiring.reason}; there is no peer to look up`)];
  const { name, expected, found } = lookup;
  const remedy = `hipctl dns status; getent ahosts ${name}`;
  if (!found.ok) return [problem(`${name} is not found (${wiring.reason}): ${found.error}`, remedy)];
  const wrong = found.value.filter((address) => !expected.includes(address));
  if (wrong.length > 0)
    return [problem(`${name} leads to ${some(wrong)} instead of ${some(expected)}`, remedy)];
  return [ok(`${name} leads to ${some(found.value)} (${wiring.reason})`)];
}

export function checkMetadata(
  answers: Answers | undefined,
  cloud: string | undefined,
  source: string,
): readonly Finding[] {
  const { ok, warning, notChecked } = say("metadata");
  if (source === "off") return [ok(`off${cloud === undefined ? "" : `, in ${cloud}`}`)];
  if (answers === undefined) return [notChecked(SILENT)];
  const { whereabouts } = answers;
  if (whereabouts === undefined) return [notChecked("this hipd does not tell")];
  const { metadata, cloud: facts } = whereabouts;
  const asked = metadata?.cloud ?? null;
  if (metadata === null || asked === null) {
    return [ok(cloud === undefined ? "not in a cloud that is known" : `${cloud} is not asked`)];
  }
  const { requests, failures } = metadata;
  const count = `${requests} questions, ${failures} without an answer`;
  if (facts === null) {
    const text = `${asked} does not answer (${count}): public addresses of this machine are not known`;
    const remedy =
      'curl http://169.254.169.254/ shows why; without one: [locators] metadata = "off", and advertise';
    return [warning(text, remedy)];
  }
  const addresses = facts.addresses.length === 0 ? "no public address" : some(facts.addresses);
  return [ok(`${asked}${facts.instance === "" ? "" : ` ${facts.instance}`}: ${addresses} (${count})`)];
}
