/** The steps of `hipctl why` for a peer that is configured: this host's side first, then the association. */
import { ago, bytes, millis } from "../output.ts";
import { type Finding, finding } from "../verdict.ts";
import { type AssociationDetails, type PeerView, pathText, percent } from "../views.ts";
import { addressOf, type Facts, type RouteFact } from "./facts.ts";
import { connectionsTo, listenersOf } from "./sockets.ts";

/** Loss that somebody should look at. */
const MUCH_LOSS = 0.05;
/** How long a new association may be without an answer, in milliseconds. */
const YOUNG = 5_000;

export function isUsable(association: AssociationDetails | undefined): association is AssociationDetails {
  return association?.state === "ESTABLISHED" || association?.state === "R2-SENT";
}

export function localSteps(facts: Facts, peer: PeerView): readonly Finding[] {
  return [
    resolverStep(facts, peer),
    identityStep(facts, peer),
    policyStep(facts, peer),
    interfaceStep(facts, peer),
    ...facts.routes.map((route) => routeStep(route, facts, peer)),
    finding(
      "packet filter",
      "not-checked",
      "rules of nftables and iptables on this host: hipctl doctor looks for those that block",
    ),
  ];
}

function resolverStep({ resolved }: Facts, peer: PeerView): Finding {
  const name = `${peer.name}.hip`;
  const wanted = [peer.lsi, peer.hit].filter((address) => address !== null);
  if (!resolved.ok) {
    const text = `${name}: ${resolved.error === "unknown" ? "the system's resolver does not know it" : resolved.error}`;
    return finding("name", "info", `${text}; HIT and LSI work without it`);
  }
  const wrong = resolved.value.filter((address) => !wanted.includes(address));
  if (wrong.length === 0) return finding("name", "ok", `${name} is ${resolved.value.join(" and ")}`);
  const remedy = "look for an old line in /etc/hosts (hipctl peer list --hosts prints the right ones)";
  return finding("name", "warning", `${name} is ${wrong.join(" and ")}, which is not this peer`, remedy);
}

function identityStep({ status }: Facts, peer: PeerView): Finding {
  const shown = status.self.identities.find(({ hit }) => hit === peer.identity);
  if (shown === undefined) {
    const text = `it is to be shown ${peer.identity}, which is not an identity of this host`;
    return finding(
      "identity",
      "problem",
      text,
      `hipctl identity list; then hipctl identity use IDENTITY --peer ${peer.name}`,
    );
  }
  return finding("identity", "ok", `it is shown our "${shown.name}" (${shown.algorithm}), HIT ${shown.hit}`);
}

function policyStep({ association, locators }: Facts, peer: PeerView): Finding {
  const known = locators?.locators.length ?? peer.locators.length;
  if (known > 0 || isUsable(association))
    return finding("policy", "ok", "permitted: a configured peer, in both directions");
  return finding(
    "policy",
    "problem",
    "permitted, but no locator of it is known: only the peer can begin",
    `add one: hipctl peer add, or a locator in ${peer.file || "its configuration"}`,
  );
}

function interfaceStep({ status, interfaceAddresses }: Facts, peer: PeerView): Finding {
  const { interface: name, lsi } = status.self;
  if (interfaceAddresses === undefined) {
    return finding(
      "interface",
      "problem",
      `${name} is not there or not up`,
      `ip link show ${name}; then restart hipd`,
    );
  }
  const missing = [peer.identity, lsi].filter((address) => !interfaceAddresses.includes(address));
  if (missing.length === 0)
    return finding("interface", "ok", `${name} is up, with our HIT and our LSI ${lsi}`);
  return finding(
    "interface",
    "problem",
    `${name} lacks ${missing.join(" and ")}`,
    "somebody removed it; restart hipd",
  );
}

function routeStep({ what, address, route }: RouteFact, { status }: Facts, peer: PeerView): Finding {
  const check = `route to ${what}`;
  const { interface: name, lsi } = status.self;
  const see = `ip route get ${address}`;
  if (!route.ok) {
    if (route.error.kind === "unknown") return finding(check, "not-checked", route.error.text);
    return finding(
      check,
      "problem",
      `the kernel has no route to ${address}: ${route.error.text}`,
      `${see}; then restart hipd`,
    );
  }
  const { device, source } = route.value;
  if (device !== name) {
    const text = `packets to ${address} go to ${device || route.value.type} instead of ${name}`;
    return finding(check, "problem", text, `${see}; a route or a rule (ip rule) stands before hipd's`);
  }
  const expected = what === "HIT" ? peer.identity : lsi;
  if (source === null || source === expected) {
    return finding(check, "ok", `${address} goes to ${name}${source === null ? "" : ` from ${source}`}`);
  }
  const text = `${address} goes to ${name}, but from ${source}; ${what === "HIT" ? "the peer is shown" : "our LSI is"} ${expected}`;
  return finding(
    check,
    "warning",
    text,
    "applications that choose no source are answered with ICMP; restart hipd",
  );
}

export function associationSteps(facts: Facts, peer: PeerView): readonly Finding[] {
  return [
    associationStep(facts, peer),
    ...saSteps(facts),
    locatorStep(facts, peer),
    ...pathSteps(facts, peer),
    ...serviceSteps(facts, peer),
  ];
}

function associationStep({ association, now }: Facts, peer: PeerView): Finding {
  const { lastError, lastErrorAt, name } = peer;
  const failed = lastError === null ? "" : `the last failure, ${ago(lastErrorAt, now)} ago: ${lastError}`;
  const state = association?.state ?? "UNASSOCIATED";
  const since = association === undefined ? "" : ` for ${ago(association.since, now)}`;
  switch (state) {
    case "ESTABLISHED":
    case "R2-SENT": {
      const role = association?.role === "none" ? "" : `, we were the ${association?.role}`;
      return finding("association", "ok", `${state}${since}${role}${failed === "" ? "" : `; ${failed}`}`);
    }
    case "E-FAILED":
      return finding(
        "association",
        "problem",
        `${state}${since}; ${failed || "no reason is known"}`,
        remedyFor(lastError, peer),
      );
    case "I1-SENT":
    case "I2-SENT":
      return finding(
        "association",
        "warning",
        `${state}${since}: an exchange is on its way, not answered yet${failed === "" ? "" : `; ${failed}`}`,
        `hipctl wait --peer ${name}`,
      );
    case "CLOSING":
    case "CLOSED":
      return finding(
        "association",
        "info",
        `${state}${since}: it was closed; the next packet makes a new one`,
      );
    default:
      if (failed === "") return finding("association", "info", "none; the first packet makes one");
      return finding("association", "warning", `none; ${failed}`, remedyFor(lastError, peer));
  }
}

/** What to do about a failure, by the words of the event that told of it. */
export function remedyFor(
  lastError: string | null,
  peer: Pick<PeerView, "name" | "locators" | "identity">,
): string {
  const where = peer.locators[0] ?? "its address";
  const text = lastError ?? "";
  if (text.includes("another host with our identity"))
    return "two hosts have one identity: hipctl identity new on one of them";
  if (text.includes("another host with this peer's identity"))
    return "find the copy of the peer and give it an identity of its own";
  if (/no_answer_to_i1/.test(text)) {
    return `is hipd running at ${where}, and may UDP get there? hipctl doctor on both hosts; then hipctl connect ${peer.name}`;
  }
  if (/no_answer_to_i2/.test(text))
    return `the peer answered once, then not: does it permit ${peer.identity}? There: hipctl peer list`;
  if (/no_locator/.test(text)) return "tell hipd where it is: a locator in its configuration";
  return `hipctl events --since 1 tells more, and the log of hipd at the peer; then hipctl connect ${peer.name}`;
}

function saSteps({ association, now }: Facts): readonly Finding[] {
  if (!isUsable(association)) return [];
  const { suite, inSpi, outSpi, establishedAt, txPackets, rxPackets, txBytes, rxBytes } = association;
  if (outSpi === null || inSpi === null)
    return [
      finding(
        "ESP",
        "problem",
        "the association has no pair of SAs",
        "hipctl association close, then connect",
      ),
    ];
  const text =
    `${suite ?? "unknown suite"}, SPI in ${inSpi} and out ${outSpi}, for ${ago(establishedAt, now)}; ` +
    `sent ${bytes(txBytes)} in ${txPackets} packets, received ${bytes(rxBytes)} in ${rxPackets}`;
  const young = establishedAt !== null && now - Date.parse(establishedAt) < YOUNG;
  if (txPackets > 0 && rxPackets === 0 && !young) {
    return [
      finding(
        "ESP",
        "warning",
        `${text}: nothing ever came back`,
        "does the application there answer? hipctl ping tells whether the path does",
      ),
    ];
  }
  return [finding("ESP", "ok", text)];
}

function locatorStep({ locators, now }: Facts, peer: PeerView): Finding {
  const known = locators?.locators ?? [];
  if (known.length === 0) return finding("locators", "info", "none known");
  const lines = known.map(({ address, state, source, inUse, rttMillis, since }) => {
    const age = since === null ? "" : ` for ${ago(since, now)}`;
    const trip = rttMillis === null ? "" : `, ${millis(rttMillis)}`;
    return `${address} ${state}${age}, ${source}${trip}${inUse ? ", in use" : ""}`;
  });
  const usable = known.some(({ state }) => state === "ACTIVE");
  const dead = peer.path !== null && !usable;
  return finding("locators", dead ? "warning" : "ok", lines.join("\n"));
}

function pathSteps({ association, seen, locators }: Facts, peer: PeerView): readonly Finding[] {
  if (!isUsable(association)) return [];
  const { path, pathState, rttMillis, loss, pathMtu, otherPaths } = association;
  if (path === null)
    return [finding("path", "problem", "no path is in use", `hipctl locator list ${peer.name}`)];
  const facts = [
    pathText(path),
    pathState ?? "unverified",
    ...(rttMillis === null ? [] : [`RTT ${millis(rttMillis)}`]),
    ...(loss === null ? [] : [`loss ${percent(loss)}`]),
    ...(pathMtu === null ? [] : [`MTU ${pathMtu}`]),
    otherPaths === 0 ? "no other path" : `${otherPaths} other path${otherPaths === 1 ? "" : "s"}`,
  ].join(", ");
  const remedy = `hipctl locator list ${peer.name}`;
  const heard = locators?.paths.find(({ inUse }) => inUse)?.heardAt ?? null;
  const verdict =
    pathState !== "verified"
      ? finding(
          "path",
          "warning",
          `${facts}: nothing came back along it yet, only credit is spent on it`,
          remedy,
        )
      : loss !== null && loss > MUCH_LOSS
        ? finding("path", "warning", `${facts}${heard === null ? "" : `, heard at ${heard}`}`, remedy)
        : finding("path", "ok", facts);
  return [verdict, natStep(path, seen)];
}

function natStep(path: NonNullable<AssociationDetails["path"]>, seen: Facts["seen"]): Finding {
  if (path.carrier !== "udp") return finding("NAT", "info", "without UDP no NAT can be passed");
  if (seen === undefined) {
    return finding("NAT", "info", "the peer does not say from where it sees our packets");
  }
  if (addressOf(seen.seen) === addressOf(path.local) && seen.seen === path.local) {
    return finding("NAT", "ok", "none on the path: the peer sees our own address");
  }
  return finding(
    "NAT",
    "ok",
    `the peer sees us at ${seen.seen}; keepalives hold the NAT's mapping open while nothing is sent`,
  );
}

function serviceSteps({ service, sockets, status }: Facts, peer: PeerView): readonly Finding[] {
  if (service === null) return [];
  const name = `${service.protocol}/${service.port}`;
  if (sockets === undefined) return [finding(name, "not-checked", "/proc/net cannot be read")];
  const ours = [peer.identity, status.self.lsi];
  const theirs = [peer.hit, peer.lsi].filter((address) => address !== null);
  const here = listenersOf(sockets, service, ours);
  const local =
    here.length === 0
      ? finding(name, "info", `nothing on this host listens on ${name} for packets from ${peer.name}`)
      : finding(name, "ok", `on this host something listens on ${name}, at ${here.join(", ")}`);
  const { established, unanswered } = connectionsTo(sockets, service, theirs);
  const there =
    service.protocol === "tcp" && established + unanswered > 0
      ? finding(
          `${name} there`,
          unanswered > 0 && established === 0 ? "warning" : "ok",
          `connections from here: ${established} established, ${unanswered} not answered yet`,
          unanswered > 0 && established === 0
            ? `look at ${peer.name} whether something listens on ${name}, and at its packet filter`
            : null,
        )
      : finding(
          `${name} there`,
          "not-checked",
          `whether ${peer.name} listens on ${name} can only be seen there`,
        );
  return [local, there];
}
