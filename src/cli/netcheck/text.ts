/** The report for people. */
import { ago, type Column, type Io, millis, pairs, stateStyle, styled, table } from "../output.ts";
import { pathText, percent } from "../views.ts";
import type { NatView } from "./nat.ts";
import type { NetReport, PeerReport, ReachView } from "./report.ts";

const FAMILY_NAMES = { ipv4: "IPv4", ipv6: "IPv6" } as const;

export function reportText(report: NetReport, io: Io): string {
  const { color } = io;
  const width = io.terminal?.columns();
  const sections = [
    section("this host", color, ownText(report, io, width)),
    section("as peers see it", color, seenText(report, io, width)),
    section(
      "NAT",
      color,
      pairs(
        report.nat.map((nat) => [FAMILY_NAMES[nat.family], natText(nat)] as const),
        color,
      ),
    ),
    section("peers", color, peersText(report, color, width)),
    section("cloud", color, cloudText(report)),
  ];
  return sections.filter((text) => text !== "").join("\n");
}

function section(title: string, color: boolean, text: string): string {
  return text === "" ? "" : `${styled(title, "bold", color)}\n${text}`;
}

function ownText({ own }: NetReport, { color }: Io, width: number | undefined): string {
  if (own.length === 0) return "no locators: no interface has an address that peers could reach\n";
  return table(
    own,
    [
      {
        title: "RANK",
        value: (each) => (each.state === "offered" ? String(each.preference) : ""),
        align: "right",
      },
      { title: "LOCATOR", value: (each) => each.address },
      { title: "SOURCE", value: (each) => each.source },
      { title: "INTERFACE", value: (each) => each.interface ?? "" },
      {
        title: "STATE",
        value: (each) => each.state,
        style: (each) => (each.state === "offered" ? "green" : "dim"),
      },
      { title: "REMARK", value: (each) => each.reason ?? (each.preferred ? "preferred" : "") },
    ],
    color,
    width,
  );
}

function seenText({ seen }: NetReport, { color, now }: Io, width: number | undefined): string {
  if (seen.length === 0) return "no peer has told yet where it sees this host's packets come from\n";
  return table(
    seen,
    [
      { title: "PEER", value: (each) => each.peer ?? each.hit },
      { title: "OUR ADDRESS", value: (each) => each.local },
      {
        title: "SEEN AS",
        value: (each) => (each.seen === each.local ? "the same" : each.seen),
        style: (each) => (each.seen === each.local ? "green" : "yellow"),
      },
      { title: "FOR", value: (each) => ago(each.since, now()), align: "right" },
    ],
    color,
    width,
  );
}

export function natText({ kind, reason, portPreserved }: NatView): string {
  const port = portPreserved === null ? "" : portPreserved ? ", port preserved" : ", port not preserved";
  const mapping = kind === "none" || kind === "unknown" ? kind : `${kind} mapping`;
  return `${mapping}${port}: ${reason}`;
}

function reachText({ state, rttMillis, inUse }: ReachView): string {
  if (state !== "verified") return state === "none" ? "" : state;
  return `${inUse ? "*" : ""}${rttMillis === null ? "verified" : millis(rttMillis)}`;
}

function used({ ipv4, ipv6 }: PeerReport): ReachView {
  return ipv4.inUse ? ipv4 : ipv6.inUse ? ipv6 : ipv4.state === "verified" ? ipv4 : ipv6;
}

function reachColumn(title: string, pick: (peer: PeerReport) => ReachView): Column<PeerReport> {
  return {
    title,
    value: (each) => reachText(pick(each)),
    style: (each) => ({ verified: "green", unverified: "yellow", none: "dim" })[pick(each).state] as "green",
  };
}

function peersText({ peers }: NetReport, color: boolean, width: number | undefined): string {
  if (peers.length === 0) return "no peers; add one: hipctl peer add NAME --hit HIT --locator ADDRESS\n";
  const list = table(
    peers,
    [
      { title: "PEER", value: (each) => each.name },
      { title: "STATE", value: (each) => each.state, style: (each) => stateStyle(each.state) },
      reachColumn("IPV4", (each) => each.ipv4),
      reachColumn("IPV6", (each) => each.ipv6),
      { title: "LOSS", value: (each) => percent(used(each).loss), align: "right" },
      { title: "MTU", value: (each) => String(used(each).mtu ?? ""), align: "right" },
      { title: "ECHO", value: probeText, style: (each) => (each.probe?.received === 0 ? "red" : undefined) },
      { title: "PATH", value: (each) => pathText(used(each).path), spare: 1 },
    ],
    color,
    width,
  );
  const errors = peers.flatMap(({ name, probe }) =>
    probe?.error == null ? [] : [`${name}: ${probe.error}\n`],
  );
  return list + errors.join("");
}

/** `3/3 0.41 ms` */
function probeText({ probe }: PeerReport): string {
  if (probe === null) return "";
  if (probe.error !== null) return "failed";
  const mean = probe.meanMillis === null ? "" : ` ${millis(probe.meanMillis)}`;
  return `${probe.received}/${probe.sent}${mean}`;
}

function cloudText({ cloud, metadata }: NetReport): string {
  const asked = metadata?.cloud ?? null;
  if (cloud === null) return asked === null ? "" : `${asked} does not answer\n`;
  const addresses = cloud.addresses.length === 0 ? "no public address" : cloud.addresses.join(", ");
  return `${cloud.provider}${cloud.instance === "" ? "" : ` ${cloud.instance}`}: ${addresses}\n`;
}
