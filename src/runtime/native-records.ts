/** The record formats of native/event.h and of associations() in native/addon.cc. */
import { BoundedMap } from "../core/bounded.ts";
import { formatIp, hitFromBytes, parseIp } from "../core/ip.ts";
import type { Endpoint, Path, Spi } from "../core/types.ts";
import type { AssociationStats, DataPlaneEvent } from "../driver/ports.ts";
import type { LocalAddress } from "../overlay/own-locators.ts";

const EVENT_HEADER = 80;
const PATH_LENGTH = 40;
const ASSOCIATION_LENGTH = 64;
const NOTHING = new Uint8Array(0);

export function bytesOf(address: string): Uint8Array {
  const bytes = parseIp(address);
  if (bytes === undefined) throw new TypeError(`"${address}" is not an IP address`);
  return bytes;
}

/** Lines of fields with a space between, as native/netlink.h describes. */
export function rows(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split(" "));
}

export function parseAddresses(text: string): readonly LocalAddress[] {
  const number = (field: string) => (field === "-" ? undefined : Number(field));
  return rows(text).map(([address = "", name = "", flags = "", preferred = "-", metric = "-"]) => ({
    address: formatIp(bytesOf(address)),
    interface: name,
    deprecated: flags.includes("d"),
    temporary: flags.includes("t"),
    preferredSeconds: number(preferred),
    metric: number(metric),
    defaultSource: flags.includes("s"),
  }));
}

/** Undefined when an address is no address: nothing can be sent there. */
export function encodePath(path: Path): Uint8Array | undefined {
  const record = new Uint8Array(PATH_LENGTH);
  const view = new DataView(record.buffer);
  const local = path.local.address === "" ? NOTHING : parseIp(path.local.address);
  const remote = parseIp(path.remote.address);
  if (local === undefined || remote === undefined) return undefined;
  if (local.length !== 0 && local.length !== remote.length) return undefined;
  record[0] = path.carrier === "udp" ? 0 : 1;
  record[1] = family(local);
  record[2] = family(remote);
  view.setUint16(4, path.local.port, true);
  view.setUint16(6, path.remote.port, true);
  record.set(local, 8);
  record.set(remote, 24);
  return record;
}

function family(address: Uint8Array): number {
  return address.length === 0 ? 0 : address.length === 4 ? 4 : 6;
}

/** Our own endpoints, one object for each: a path stays as long as its association, and thousands begin at the same one. */
const ownEndpoints = new BoundedMap<string, Endpoint>("own_endpoints", 256, "evict-oldest");

function ownEndpoint(endpoint: Endpoint): Endpoint {
  const known = ownEndpoints.get(endpoint.address);
  if (known?.port === endpoint.port) return known;
  ownEndpoints.set(endpoint.address, endpoint);
  return endpoint;
}

function decodePath(view: DataView, at: number): Path {
  const endpoint = (familyAt: number, addressAt: number, portAt: number): Endpoint => {
    const length = { 0: 0, 4: 4, 6: 16 }[view.getUint8(at + familyAt)] ?? 0;
    const bytes = new Uint8Array(view.buffer, view.byteOffset + at + addressAt, length);
    return { address: length === 0 ? "" : formatIp(bytes), port: view.getUint16(at + portAt, true) };
  };
  return {
    carrier: view.getUint8(at) === 0 ? "udp" : "none",
    local: ownEndpoint(endpoint(1, 8, 4)),
    remote: endpoint(2, 24, 6),
  };
}

export function decodeEvents(records: Uint8Array, note: (line: string) => void): readonly DataPlaneEvent[] {
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  const events: DataPlaneEvent[] = [];
  let at = 0;
  while (at < records.length) {
    const event = decodeEvent(records, view, at);
    if (typeof event === "string") note(event);
    else if (event !== undefined) events.push(event);
    at += view.getUint32(at, true);
  }
  return events;
}

function decodeEvent(records: Uint8Array, view: DataView, at: number): DataPlaneEvent | string | undefined {
  const spi = view.getUint32(at + 8, true) as Spi;
  const payload = () => {
    const start = at + EVENT_HEADER;
    return records.slice(start, start + view.getUint32(at + 20, true));
  };
  const peer = () => hitFromBytes(records.subarray(at + 24, at + 40));
  const path = () => decodePath(view, at + 40);
  switch (view.getUint8(at + 4)) {
    case 1:
      return { type: "control", path: path(), bytes: payload() };
    case 2:
      return { type: "miss", peer: peer() };
    case 3:
      return { type: "esp", spi, event: "first-inbound" };
    case 4:
      return { type: "esp", spi, event: "soft-expiry" };
    case 5:
      return { type: "esp", spi, event: "idle" };
    case 6:
      return { type: "moved", spi, path: path() };
    case 7:
      return { type: "unknown-spi", spi, path: path() };
    case 8:
      return {
        type: "echo-reply",
        peer: peer(),
        sequence: view.getUint32(at + 12, true),
        rttMicros: view.getUint32(at + 16, true),
      };
    case 9:
      return { type: "addresses", local: parseAddresses(Buffer.from(payload()).toString("utf8")) };
    case 10:
      return Buffer.from(payload()).toString("utf8");
    case 11:
      return { type: "silent", peer: peer(), millis: view.getUint32(at + 12, true) };
    case 12:
      return {
        type: "probe-reply",
        peer: peer(),
        token: view.getUint32(at + 12, true),
        rttMicros: view.getUint32(at + 16, true),
        bytes: view.getUint32(at + 8, true),
      };
    default:
      return undefined;
  }
}

export function decodeAssociations(records: Uint8Array): readonly AssociationStats[] {
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  const list: AssociationStats[] = [];
  for (let at = 0; at < records.length; at += ASSOCIATION_LENGTH) {
    const spiAt = (offset: number) => {
      const spi = view.getUint32(at + offset, true);
      return spi === 0 ? undefined : (spi as Spi);
    };
    list.push({
      peer: hitFromBytes(records.subarray(at, at + 16)),
      outSpi: spiAt(16),
      inSpi: spiAt(20),
      pathMtu: view.getUint32(at + 24, true),
      txPackets: view.getFloat64(at + 32, true),
      txBytes: view.getFloat64(at + 40, true),
      rxPackets: view.getFloat64(at + 48, true),
      rxBytes: view.getFloat64(at + 56, true),
    });
  }
  return list;
}
