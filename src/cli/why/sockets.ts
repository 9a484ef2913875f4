/** The kernel's own list of sockets, /proc/net: what listens on a port here, and what connections there are. */
import { readFileSync } from "node:fs";
import { formatIp } from "../../core/ip.ts";

export interface Service {
  readonly protocol: "tcp" | "udp";
  readonly port: number;
}

export interface SocketRow {
  readonly protocol: "tcp" | "udp";
  readonly local: { readonly address: string; readonly port: number };
  readonly remote: { readonly address: string; readonly port: number };
  /** The kernel's number; 0x0a: LISTEN, 1: ESTABLISHED, 2: SYN_SENT. */
  readonly state: number;
}

const LISTEN = 0x0a;
const UDP_BOUND = 0x07;
export const ESTABLISHED = 0x01;
export const SYN_SENT = 0x02;

const ANY: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** `tcp/22`, `udp/53`. */
export function parseService(text: string): Service | undefined {
  const match = /^(tcp|udp)\/([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port < 1 || port > 65_535) return undefined;
  return { protocol: match[1] as Service["protocol"], port };
}

/** Sockets of this network namespace, of both families. Undefined: /proc is not there. */
export function readSockets(protocol: Service["protocol"]): readonly SocketRow[] | undefined {
  try {
    return [protocol, `${protocol}6`].flatMap((name) =>
      parseSockets(readFileSync(`/proc/net/${name}`, "utf8"), protocol),
    );
  } catch {
    return undefined;
  }
}

/** The rows of a file of /proc/net; what is not understood is left out. */
export function parseSockets(text: string, protocol: Service["protocol"]): readonly SocketRow[] {
  return text.split("\n").flatMap((line): SocketRow[] => {
    const [, local, remote, state] = line.trim().split(/\s+/);
    const ends = [endOf(local), endOf(remote)];
    if (ends[0] === undefined || ends[1] === undefined || state === undefined) return [];
    return [{ protocol, local: ends[0], remote: ends[1], state: Number.parseInt(state, 16) }];
  });
}

/** Words of the machine's byte order, as hexadecimal digits. */
function endOf(text: string | undefined): SocketRow["local"] | undefined {
  const match = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(text ?? "");
  if (match === null) return undefined;
  const words = (match[1] as string).match(/.{8}/g) as readonly string[];
  const bytes = Buffer.alloc(words.length * 4);
  for (const [i, word] of words.entries()) bytes.writeUInt32LE(Number.parseInt(word, 16), i * 4);
  return { address: formatIp(bytes), port: Number.parseInt(match[2] as string, 16) };
}

/** Where something here takes packets for the service that come to one of these addresses. */
export function listenersOf(
  rows: readonly SocketRow[],
  { protocol, port }: Service,
  addresses: readonly string[],
): readonly string[] {
  const state = protocol === "tcp" ? LISTEN : UDP_BOUND;
  const found = rows.filter(
    (row) =>
      row.protocol === protocol &&
      row.state === state &&
      row.local.port === port &&
      ANY.has(row.remote.address) &&
      (ANY.has(row.local.address) || addresses.includes(row.local.address)),
  );
  return [...new Set(found.map((row) => (ANY.has(row.local.address) ? "any address" : row.local.address)))];
}

/** Connections from here to the service at one of these addresses, by state. */
export function connectionsTo(
  rows: readonly SocketRow[],
  { port }: Service,
  addresses: readonly string[],
): { readonly established: number; readonly unanswered: number } {
  const there = rows.filter(({ remote }) => remote.port === port && addresses.includes(remote.address));
  return {
    established: there.filter(({ state }) => state === ESTABLISHED).length,
    unanswered: there.filter(({ state }) => state === SYN_SENT).length,
  };
}
