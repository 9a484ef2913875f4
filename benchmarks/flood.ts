/** Exchanges that are attempted and come to nothing: I1s, and I2s with a right solution and a forged HIP_MAC. */
import { createHash, randomBytes } from "node:crypto";
import type { Socket } from "node:dgram";
import { hitBytes } from "../src/core/ip.ts";
import { parse, raw } from "../src/wire/packet.ts";
import { HIP_MAC, PUZZLE, R1_COUNTER, SOLUTION } from "../src/wire/rfc7401.ts";
import { type Crowd, MARKER } from "./crowd.ts";

/** Hashes that the attacker spends on one puzzle; a harder one gets a random answer. */
const HASHES = 16;
const I1 = 1;
const R1 = 2;
/** How often packets leave, in milliseconds. */
const TICK = 5;

export interface Flood {
  readonly seconds: number;
  readonly i1: number;
  readonly r1: number;
  readonly i2: number;
  readonly solved: number;
  /** Difficulty of the last puzzle. */
  readonly k: number;
}

export interface FloodOptions {
  /** I1s a second; each R1 gets an I2. */
  readonly rate: number;
  readonly seconds: number;
  /** All from one socket. */
  readonly fromOne: boolean;
  /**
   * The same work for nobody: packets go to a port that is closed, and each I1 is answered by an R1 of an earlier exchange, as
   * hard as the last one that the daemon sent.
   */
  readonly aside: boolean;
}

/** RFC 863; closed on the hosts of the benchmark. */
const DISCARD = 9;
/** Difficulty of the last puzzle that the daemon sent. */
let lastK = 0;

export async function flood(crowd: Crowd, { rate, seconds, fromOne, aside }: FloodOptions): Promise<Flood> {
  const members = crowd.members.filter((member) => member.lastI2 !== undefined);
  const count = { i1: 0, r1: 0, i2: 0, solved: 0, k: 0 };
  const first = members[0];
  if (first === undefined) throw new Error("a flood needs members that have completed an exchange");
  const socketOf = (socket: Socket): Socket => (fromOne ? first.socket : socket);
  const { target, sampleR1 } = crowd;
  const port = aside ? DISCARD : target.port;
  const answer = (bytes: Uint8Array, member: (typeof members)[number]): boolean => {
    if (bytes[2] !== R1) return true;
    count.r1++;
    const parsed = parse(bytes);
    const pattern = member.lastI2;
    if (!parsed.ok || pattern === undefined) return true;
    const puzzle = raw(parsed.value, PUZZLE);
    if (puzzle === undefined) return true;
    if (!aside) lastK = puzzle.contents[0] as number;
    const made = forged(pattern, puzzle.contents, raw(parsed.value, R1_COUNTER)?.contents, lastK);
    if (made === undefined) return true;
    count.k = lastK;
    if (made.solved) count.solved++;
    count.i2++;
    socketOf(member.socket).send(marked(made.i2), port, target.address);
    return true;
  };
  crowd.onPacket = aside ? () => true : answer;
  const begun = performance.now();
  let at = 0;
  while (performance.now() - begun < seconds * 1000) {
    const wanted = ((performance.now() - begun) / 1000) * rate;
    for (; count.i1 < wanted; count.i1++) {
      const member = members[at++ % members.length] as (typeof members)[number];
      socketOf(member.socket).send(marked(i1Of(member.lastI2 as Uint8Array)), port, target.address);
      if (aside && sampleR1 !== undefined) answer(sampleR1.slice(), member);
    }
    await new Promise((resolve) => setTimeout(resolve, TICK));
  }
  crowd.onPacket = undefined;
  return { seconds: (performance.now() - begun) / 1000, ...count };
}

function marked(bytes: Uint8Array): Uint8Array {
  const datagram = new Uint8Array(MARKER + bytes.length);
  datagram.set(bytes, MARKER);
  return datagram;
}

/** An I1 between the HITs of another packet; DH_GROUP_LIST (type 511) with group 7. */
function i1Of(pattern: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(48);
  bytes.set(pattern.subarray(0, 40));
  bytes.set([1, 255, 0, 1, 7], 40);
  bytes[1] = 5;
  bytes[2] = I1;
  return bytes;
}

/** The pattern with the solution of another puzzle, which its HIP_MAC does not cover. */
function forged(
  pattern: Uint8Array,
  puzzle: Uint8Array,
  counter: Uint8Array | undefined,
  k: number,
): { readonly i2: Uint8Array; readonly solved: boolean } | undefined {
  const i2 = pattern.slice();
  const parsed = parse(i2);
  if (!parsed.ok) return undefined;
  const solution = raw(parsed.value, SOLUTION);
  const mac = raw(parsed.value, HIP_MAC);
  const echoed = raw(parsed.value, R1_COUNTER);
  if (solution === undefined || mac === undefined) return undefined;
  if (echoed !== undefined && counter !== undefined) echoed.contents.set(counter);
  const size = puzzle.length - 4;
  solution.contents.set(puzzle.subarray(0, 4));
  // K, a reserved byte, OPAQUE, #I, #J.
  solution.contents[1] = 0;
  solution.contents.set(puzzle.subarray(4), 4);
  const j = solution.contents.subarray(4 + size, 4 + 2 * size);
  const hits = Buffer.concat([hitBytes(parsed.value.sender), hitBytes(parsed.value.receiver)]);
  let solved = false;
  for (let attempt = 0; attempt < HASHES && !solved; attempt++) {
    j.set(randomBytes(size));
    if (k > 20) break;
    const digest = createHash("sha256").update(puzzle.subarray(4)).update(hits).update(j).digest();
    solved = (digest.readUInt32BE(digest.length - 4) & ((1 << k) - 1)) === 0;
  }
  mac.contents[0] = (mac.contents[0] as number) ^ 1;
  return { i2, solved };
}
