/** Packets as tests need them: read, changed, made by hand with a peer's keys. */
import type { Hit, Spi } from "../../src/core/types.ts";
import type { Identity } from "../../src/crypto/identity.ts";
import { addMac, addMac2, signPacket, signR1 } from "../../src/crypto/signature.ts";
import type { AnswerR1 } from "../../src/hip/job.ts";
import { i1 } from "../../src/hip/messages.ts";
import {
  append,
  build,
  covered,
  type Packet,
  type PacketDraft,
  type PacketName,
  parse,
} from "../../src/wire/packet.ts";
import type { DraftParameter } from "../../src/wire/parameter.ts";
import { HIP_MAC, HIP_SIGNATURE_2 } from "../../src/wire/rfc7401.ts";
import { type Node, type Pair, pathBetween } from "./pair.ts";

export function read(bytes: Uint8Array | undefined): Packet {
  const parsed = bytes === undefined ? undefined : parse(bytes);
  if (parsed?.ok !== true) throw new Error(`not a packet: ${parsed?.error.detail ?? "nothing"}`);
  return parsed.value;
}

/** Names of the packets that `node` sends while `act` runs. */
export function sentBy(pair: Pair, node: Node, act: () => void): readonly string[] {
  const before = pair.flights.length;
  act();
  return pair.flights
    .slice(before)
    .filter(({ from }) => from === node)
    .map(({ name }) => name);
}

/** The R1 that `of` gives to an I1 of `to` without anybody else noticing: it neither arrives nor counts as sent. */
export function r1Of(
  pair: Pair,
  of: Node,
  to: Node,
  groups: readonly number[] = to.config.dhGroups,
): Uint8Array {
  const outputs = of.host.handle(
    { type: "datagram", bytes: i1(to.hit, of.hit, groups), path: pathBetween(of, to) },
    pair.now,
  );
  pair.take(
    of,
    outputs.filter(({ type }) => type !== "send"),
  );
  for (const output of outputs) if (output.type === "send") return output.bytes;
  throw new Error(
    `no R1: ${JSON.stringify(outputs.map((one) => ("reason" in one ? one.reason : one.type)))}`,
  );
}

/** The I2 of `from` to `to` in answer to an R1, made without the host of `from`; `change` alters the job. */
export function i2Of(from: Node, r1: Uint8Array, change: Partial<AnswerR1> = {}): Uint8Array {
  const result = from.runJob({
    kind: "answer-r1",
    localHit: from.hit,
    r1,
    ...from.config,
    solveK: 24,
    j: from.random.bytes(48),
    iv: from.random.bytes(16),
    spi: (0x1000 + (from.random.u32() >>> 16)) as Spi,
    lsiSpi: undefined,
    natTraversalModes: [1],
    ...change,
  });
  if (result.kind !== "answer-r1") throw new Error(`no I2: ${JSON.stringify(result)}`);
  return result.i2;
}

/** A packet of `from` within its association: with HIP_MAC and HIP_SIGNATURE, unless told otherwise. */
export function sealed(
  from: Node,
  to: Hit,
  name: PacketName,
  parameters: readonly DraftParameter[],
  options: { readonly mac?: boolean } = {},
): Uint8Array {
  const { agreement } = from;
  const result = from.runJob({
    kind: "seal",
    localHit: from.hit,
    draft: { name, sender: from.hit, receiver: to, parameters },
    rhash: agreement?.rhash ?? "sha384",
    macKey: options.mac === false ? undefined : agreement?.macOut,
  });
  if (result.kind !== "seal") throw new Error("not sealed");
  return result.bytes;
}

/** The same packet with other parameters: authenticators are as they were. */
export function changed(
  bytes: Uint8Array,
  change: (parameters: readonly DraftParameter[]) => readonly DraftParameter[],
): Uint8Array {
  const { name, controls, sender, receiver, parameters } = read(bytes);
  const draft: PacketDraft = { name, controls, sender, receiver, parameters: change(parameters) };
  return build(draft);
}

/** Lets `node` make its R1s anew, with other parameters: `change` gets those that the signature covers. */
export function changeR1s(
  pair: Pair,
  node: Node,
  change: (parameters: readonly DraftParameter[]) => readonly DraftParameter[],
  unsigned: readonly DraftParameter[] = [],
): void {
  const signer = node.identities[0] as Identity;
  node.runner = (job, run) => {
    const result = run(job);
    if (result.kind !== "make-r1") return result;
    const { name, sender, receiver, parameters } = read(result.r1);
    const covering = change(parameters.filter(({ type }) => type < HIP_SIGNATURE_2.type));
    const signed = signR1(signer, build({ name, sender, receiver, parameters: covering }));
    return { ...result, r1: append(signed, unsigned) };
  };
  node.reboot();
  pair.start();
}

/** Replaces the parameter of the same type, or adds it. */
export function replacing(...fresh: readonly DraftParameter[]) {
  return (parameters: readonly DraftParameter[]): readonly DraftParameter[] => [
    ...parameters.filter(({ type }) => fresh.every((one) => one.type !== type)),
    ...fresh,
  ];
}

/** Leaves out a parameter. */
export function without(type: number) {
  return (parameters: readonly DraftParameter[]): readonly DraftParameter[] =>
    parameters.filter((one) => one.type !== type);
}

/** The last I2 of `from` with other parameters, HIP_MAC and HIP_SIGNATURE made again. */
export function remade(
  from: Node,
  i2: Uint8Array,
  change: (parameters: readonly DraftParameter[]) => readonly DraftParameter[],
  signer: Identity = from.identities[0] as Identity,
): Uint8Array {
  const { name, sender, receiver, parameters } = read(i2);
  const { agreement } = from;
  if (agreement === undefined) throw new Error("no keys");
  const plain = build({
    name,
    sender,
    receiver,
    parameters: change(parameters.filter(({ type }) => type < HIP_MAC.type)),
  });
  return signPacket(signer, addMac(plain, agreement.rhash, agreement.macOut));
}

/** An R2 of `from` with HIP_MAC_2 and HIP_SIGNATURE; `hostId` is that of its R1, with type, length and padding. */
export function authenticatedR2(
  from: Node,
  to: Node,
  parameters: readonly DraftParameter[],
  hostId: Uint8Array,
): Uint8Array {
  const { agreement } = from;
  if (agreement === undefined) throw new Error("no keys");
  const plain = build({ name: "R2", sender: from.hit, receiver: to.hit, parameters });
  const withMac = addMac2(plain, agreement.rhash, agreement.macOut, hostId);
  return signPacket(from.identities[0] as Identity, withMac);
}

/** Flips one bit of the contents of a parameter. */
export function damaged(bytes: Uint8Array, type: number, at = 0): Uint8Array {
  const copy = bytes.slice();
  const found = read(copy).parameters.find((one) => one.type === type);
  if (found === undefined) throw new Error(`no parameter ${type}`);
  found.contents[at] = (found.contents[at] as number) ^ 1;
  return copy;
}

/** A packet with a HIP_MAC that is right and a HIP_SIGNATURE that is not. */
export function badlySigned(
  from: Node,
  to: Hit,
  name: PacketName,
  parameters: readonly DraftParameter[],
): Uint8Array {
  const good = sealed(from, to, name, parameters);
  const bytes = damaged(good, 61697, 10);
  if (covered(bytes, HIP_MAC.type).length !== covered(good, HIP_MAC.type).length) throw new Error("changed");
  return bytes;
}
