/** The control API's answers as hipctl gets them: the overlay's own views, with names of identities. */
import type { AssociationDetails, PeerView, SelfView } from "../overlay/control.ts";
import type { NamedIdentityView } from "../runtime/control-convert.ts";
import { ago, bytes, type Column, millis, pairs, type Style, stateStyle } from "./output.ts";

export type { AssociationDetails, NamedIdentityView, PeerView };

export interface StatusView {
  readonly self: Omit<SelfView, "identities"> & { readonly identities: readonly NamedIdentityView[] };
  readonly version: string;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  readonly peers: readonly PeerView[];
}

export function pathText(
  path: { readonly carrier: string; readonly local: string; readonly remote: string } | null,
): string {
  return path === null ? "" : `${path.carrier === "udp" ? "udp" : "ip"} ${path.local} > ${path.remote}`;
}

/** `verified, 1.25 ms, 2 others` */
export function pathStateText(of: Pick<PeerView, "pathState" | "rttMillis" | "otherPaths">): string {
  if (of.pathState === null) return "";
  return [
    of.pathState,
    ...(of.rttMillis === null ? [] : [millis(of.rttMillis)]),
    ...(of.otherPaths === 0 ? [] : [`${of.otherPaths} other${of.otherPaths === 1 ? "" : "s"}`]),
  ].join(", ");
}

export function pathStyle(state: string | null): Style | undefined {
  return state === "verified" ? "green" : state === "unverified" ? "yellow" : undefined;
}

export function percent(share: number | null): string {
  return share === null ? "" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

export function peerColumns(now: number): readonly Column<PeerView>[] {
  return [
    { title: "PEER", value: (peer) => peer.name },
    { title: "STATE", value: (peer) => peer.state, style: (peer) => stateStyle(peer.state) },
    { title: "HIT", value: (peer) => peer.hit ?? "", spare: 5 },
    { title: "LSI", value: (peer) => peer.lsi ?? "" },
    { title: "ADDRESS", value: (peer) => peer.path?.remote ?? peer.locators[0] ?? "", spare: 1 },
    { title: "PATH", value: pathStateText, style: (peer) => pathStyle(peer.pathState), spare: 3 },
    { title: "SUITE", value: (peer) => peer.suite ?? "", spare: 4 },
    { title: "SENT", value: (peer) => bytes(peer.txBytes), align: "right" },
    { title: "RECEIVED", value: (peer) => bytes(peer.rxBytes), align: "right" },
    { title: "SINCE", value: (peer) => ago(peer.establishedAt, now), align: "right", spare: 2 },
  ];
}

export function peerText(peer: PeerView, now: number, color: boolean): string {
  return pairs(
    [
      ["name", peer.name],
      ["state", peer.state],
      ["HIT", peer.hit ?? (peer.opportunistic ? "not known yet (opportunistic)" : "")],
      ["LSI", peer.lsi],
      ["path", pathText(peer.path)],
      ["path state", pathStateText(peer)],
      ["locators", peer.locators.join(", ") || "none: this peer must speak first"],
      ["encapsulation", peer.carrier],
      ["suite", peer.suite],
      ["sent", `${bytes(peer.txBytes)} in ${peer.txPackets} packets`],
      ["received", `${bytes(peer.rxBytes)} in ${peer.rxPackets} packets`],
      [
        "established",
        peer.establishedAt === null ? "" : `${peer.establishedAt} (${ago(peer.establishedAt, now)} ago)`,
      ],
      ["last error", peer.lastError === null ? "" : `${peer.lastError} (${ago(peer.lastErrorAt, now)} ago)`],
      ["our identity", peer.identity],
      ["inbound family", peer.inboundFamily],
      ["from", peer.file === "" ? "added at run time, not kept" : peer.file],
    ],
    color,
  );
}

export function associationText(association: AssociationDetails, now: number, color: boolean): string {
  const { establishedAt } = association;
  return pairs(
    [
      ["peer", association.name],
      ["state", `${association.state} for ${ago(association.since, now)}`],
      ["role", association.role === "none" ? "" : association.role],
      ["HIT", association.hit],
      ["LSI", association.lsi],
      ["our identity", association.identity],
      ["path", pathText(association.path)],
      ["path state", pathStateText(association)],
      ["path loss", association.loss === null ? "" : percent(association.loss)],
      ["path MTU", association.pathMtu === null ? "" : `${association.pathMtu} bytes`],
      ["ESP suite", association.suite],
      ["HIP cipher", association.hipCipher],
      ["DH group", association.dhGroup],
      ["SPI in", association.inSpi],
      ["SPI out", association.outSpi],
      ["exchange", association.exchangeMillis === null ? "" : millis(association.exchangeMillis)],
      ["established", establishedAt === null ? "" : `${establishedAt} (${ago(establishedAt, now)} ago)`],
      ["peer's domain", association.peerDomain],
      ["sent", `${bytes(association.txBytes)} in ${association.txPackets} packets`],
      ["received", `${bytes(association.rxBytes)} in ${association.rxPackets} packets`],
    ],
    color,
  );
}
