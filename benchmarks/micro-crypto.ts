/**
 * How fast the control plane's cryptography is, piece by piece, on one thread:
 * `node benchmarks/micro-crypto.ts [--against CHECKOUT] [--rounds N] [--only TEXT]`. With another checkout both are
 * measured in turns in one process, and the last columns say how many times faster this one is: round by round in the
 * median, and best round against best round, which other programs on the machine disturb least.
 */
import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Hit, Spi } from "../src/core/types.ts";
import type { Identity } from "../src/crypto/identity.ts";
import type {
  AcceptI2,
  AcceptR2,
  AnswerR1,
  I2Accepted,
  I2Made,
  Job,
  MakeR1,
  R1Made,
} from "../src/hip/job.ts";
import { pairedRatio, summarize } from "./stats.ts";

/** Initiators that take turns, more than any cache of identities holds. */
const STRANGERS = 600;
/** How long one operation of one checkout is measured in one round. */
const SLICE_MILLIS = 20;

type Operation = () => void;

async function load(root: string) {
  const at = (path: string): string => pathToFileURL(resolve(root, "src", path)).href;
  return {
    ...((await import(at("core/ip.ts"))) as typeof import("../src/core/ip.ts")),
    ...((await import(at("crypto/identity.ts"))) as typeof import("../src/crypto/identity.ts")),
    ...((await import(at("crypto/keymat.ts"))) as typeof import("../src/crypto/keymat.ts")),
    ...((await import(at("crypto/mac.ts"))) as typeof import("../src/crypto/mac.ts")),
    ...((await import(at("crypto/puzzle.ts"))) as typeof import("../src/crypto/puzzle.ts")),
    ...((await import(at("hip/run-job.ts"))) as typeof import("../src/hip/run-job.ts")),
    ...((await import(at("wire/packet.ts"))) as typeof import("../src/wire/packet.ts")),
  };
}

type Code = Awaited<ReturnType<typeof load>>;

/** The jobs of one exchange, made with the code under test itself. */
class Exchange {
  readonly makeR1: MakeR1;
  readonly answerR1: AnswerR1;
  readonly acceptI2: AcceptI2;
  readonly acceptR2: AcceptR2;
  readonly initiators: ReadonlyMap<Hit, Identity>;

  constructor(code: Code, responders: ReadonlyMap<Hit, Identity>, made?: { job: MakeR1; result: R1Made }) {
    const initiator = code.Identity.generate("ecdsa-p256");
    const responder = [...responders.values()][0] as Identity;
    this.initiators = new Map([[initiator.hit, initiator]]);
    this.makeR1 = made?.job ?? makeR1(responder.hit);
    const r1 = made?.result ?? run<R1Made>(code, this.makeR1, responders);
    const bytes = r1.r1.slice();
    bytes.set(code.hitBytes(initiator.hit), 24);
    const common = { hipCiphers: [2, 4], espSuites: [13, 12, 9, 8], natTraversalModes: [1] } as const;
    this.answerR1 = {
      ...common,
      kind: "answer-r1",
      localHit: initiator.hit,
      r1: bytes,
      dhGroups: [7, 8, 9, 4, 3],
      encryptHostId: true,
      domainIdentifier: { type: 0, value: new Uint8Array(0) },
      solveK: 24,
      j: new Uint8Array(randomBytes(48)),
      iv: new Uint8Array(randomBytes(16)),
      spi: 0x1000 as Spi,
      lsiSpi: 0x1001 as Spi,
    };
    const i2 = run<I2Made>(code, this.answerR1, this.initiators);
    this.acceptI2 = {
      ...common,
      kind: "accept-i2",
      localHit: responder.hit,
      i2: i2.i2,
      dh: r1.dh,
      hostId: r1.hostId,
      spi: 0x2000 as Spi,
      lsiSpi: 0x2001 as Spi,
      path: {
        carrier: "udp",
        local: { address: "192.0.2.1", port: 10500 },
        remote: { address: "192.0.2.2", port: 10500 },
      },
    };
    const r2 = run<I2Accepted>(code, this.acceptI2, responders);
    const { rhash, macIn: macKey, peer, hipCipher: cipher, encryptIn: key } = i2.agreement;
    const decrypt = { cipher, key };
    this.acceptR2 = { kind: "accept-r2", r2: r2.r2, peer, rhash, macKey, hostId: i2.hostId, decrypt };
  }
}

function makeR1(localHit: Hit): MakeR1 {
  return {
    kind: "make-r1",
    localHit,
    group: 7,
    r1Counter: 1n,
    puzzleK: 0,
    puzzleLifetime: 37,
    hipCiphers: [2, 4],
    hitSuites: [2, 1, 5],
    dhGroups: [7, 8, 9, 4, 3],
    espSuites: [13, 12, 9, 8],
    natTraversalModes: [1],
    domainIdentifier: { type: 0, value: new Uint8Array(0) },
    offerLsiSpi: true,
  };
}

function run<R>(code: Code, job: Job, identities: ReadonlyMap<Hit, Identity>): R {
  const result = code.runJob(job, identities);
  if (result.kind === "refused")
    throw new Error(`${job.kind} was refused: ${result.reason}, ${result.detail}`);
  return result as R;
}

function operations(code: Code): ReadonlyMap<string, Operation> {
  const responder = code.Identity.generate("ecdsa-p256");
  const responders = new Map([[responder.hit, responder]]);
  const one = new Exchange(code, responders);
  const made = { job: one.makeR1, result: run<R1Made>(code, one.makeR1, responders) };
  const strangers = Array.from({ length: STRANGERS }, () => new Exchange(code, responders, made));
  let turn = 0;
  const nextStranger = (): Exchange => strangers[++turn % STRANGERS] as Exchange;
  const { initiators, acceptI2, acceptR2 } = one;
  const hitI = [...initiators.keys()][0] as Hit;
  const material = {
    hitI,
    hitR: responder.hit,
    i: new Uint8Array(48).fill(1),
    j: new Uint8Array(48).fill(2),
  };
  const signed = new Uint8Array(600);
  const signature = responder.sign(signed);
  const publicHalf = responder.publicOnly();
  return new Map<string, Operation>([
    ["make-r1", () => run(code, one.makeR1, responders)],
    ["accept-i2, new peers", () => run(code, nextStranger().acceptI2, responders)],
    ["accept-i2, known peer", () => run(code, acceptI2, responders)],
    ["answer-r1, K 0", () => run(code, one.answerR1, initiators)],
    ["accept-r2", () => run(code, acceptR2, initiators)],
    ["parse I2", () => code.parse(acceptI2.i2)],
    ["sign", () => responder.sign(signed)],
    ["verify", () => publicHalf.verify(signed, responder.algorithm, signature)],
    ["HMAC of 600 bytes", () => code.hipMac("sha384", material.i, signed)],
    [
      "KEYMAT, all keys",
      () => {
        const keymat = new code.Keymat({ rhash: "sha384", kij: signed.subarray(0, 32), ...material });
        code.associationKeys(keymat, 2, "sha384", hitI, responder.hit);
        code.espKeys(keymat, 13, hitI, responder.hit);
      },
    ],
    [
      "puzzle, 1000 hashes",
      () => void code.solve({ rhash: "sha384", ...material, k: 60, start: material.j, attempts: 1000 }),
    ],
  ]);
}

/** Operations per CPU second of this thread. */
function measure(operation: Operation, millis: number): number {
  const begun = process.threadCpuUsage();
  const end = performance.now() + millis;
  let count = 0;
  while (performance.now() < end) {
    operation();
    count++;
  }
  const { user, system } = process.threadCpuUsage(begun);
  return (1e6 * count) / (user + system);
}

const { values } = parseArgs({
  options: {
    against: { type: "string" },
    rounds: { type: "string", default: "21" },
    only: { type: "string", default: "" },
  },
});
const roots = [resolve(import.meta.dirname, ".."), ...(values.against === undefined ? [] : [values.against])];
const contestants: ReadonlyMap<string, Operation>[] = [];
for (const root of roots) contestants.push(operations(await load(root)));
const cell = (text: string): string => text.padStart(12);
console.log(`${"".padEnd(24)}${["median 1/s", "best 1/s", "best us"].map(cell).join("")}`);
for (const name of contestants[0]?.keys() ?? []) {
  if (!name.includes(values.only)) continue;
  const samples: number[][] = roots.map(() => []);
  for (let round = -2; round < Number(values.rounds); round++) {
    contestants.forEach((all, who) => {
      const speed = measure(all.get(name) as Operation, SLICE_MILLIS);
      if (round >= 0) samples[who]?.push(speed); // the first rounds warm up
    });
  }
  const [own = [], other] = samples;
  const { median, high } = summarize(own);
  const cells = [median.toFixed(0), high.toFixed(0), (1e6 / high).toFixed(1)];
  if (other !== undefined) {
    const best = (high / summarize(other).high).toFixed(2);
    cells.push(`x ${pairedRatio(own, other).toFixed(2)}`, `best x ${best}`);
  }
  console.log(`${name.padEnd(24)}${cells.map(cell).join("")}`);
}
