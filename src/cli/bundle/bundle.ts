/** Puts a support archive together: what was collected, without secrets and, if wanted, without addresses. */
import { hostname } from "node:os";
import { parsePrefix } from "../../core/ip.ts";
import { ControlClient } from "../../runtime/control-client.ts";
import type { Facts } from "../doctor/facts.ts";
import { gather } from "../doctor/gather.ts";
import { type Io, json } from "../output.ts";
import { Archive, type Packed } from "./archive.ts";
import { configParts, eventPart, factParts, metricsPart, type Part, systemParts } from "./collect.ts";
import { Pseudonyms } from "./pseudonyms.ts";
import { withoutSecrets } from "./secrets.ts";

export interface BundlePlan {
  readonly config: string;
  readonly socket: string | undefined;
  /** False: pseudonyms stand for them. */
  readonly addresses: boolean;
  /** The last so many. */
  readonly events: number;
  /** The folder inside. */
  readonly root: string;
}

export interface Bundle {
  readonly bytes: Uint8Array;
  readonly files: readonly Packed[];
  /** What could not be had. */
  readonly missing: readonly { readonly name: string; readonly why: string }[];
}

/** The counters are there anyhow; whether drops grow is for "doctor" to say. */
const SAMPLE_MILLIS = 300;

const ABOUT = `A support archive of hipd, made by "hipctl bundle".

It holds what hipd says about itself (version, status, associations, locators, counters, events), its configuration, the findings of
"hipctl doctor" and "hipctl netcheck", the journal of its unit, and what the system says about its network. It holds no private key:
key files are not opened. Look through it before you give it away.
`;
const WITHOUT_ADDRESSES = `
Addresses, HITs and names of hosts are replaced. One thing has one pseudonym in all files; pseudonyms.txt says what kind of thing it is.
Comments of the configuration are left out.
`;

export async function makeBundle(plan: BundlePlan, io: Io): Promise<Bundle> {
  const { config, socket, addresses } = plan;
  const facts = await gather({
    config,
    socket,
    now: io.now(),
    progress: io.progress,
    sampleMillis: SAMPLE_MILLIS,
  });
  io.progress?.("collecting ...");
  const pseudonyms = addresses ? undefined : pseudonymsFor(facts);
  const shown = <T>(value: T): T => (pseudonyms === undefined ? value : (pseudonyms.value(value) as T));
  const parts: Part[] = [
    ...factParts(facts, io, shown),
    ...(await daemonParts(facts, plan.events)),
    ...configParts(facts.config, !addresses),
    ...(await systemParts(facts.config.plan.file)),
  ];
  const clean = (text: string): string => {
    const harmless = withoutSecrets(text);
    return pseudonyms === undefined ? harmless : pseudonyms.text(harmless);
  };
  io.progress?.("packing ...");
  const archive = new Archive(plan.root, new Date(io.now()));
  await archive.add({
    name: "README.txt",
    text: `${ABOUT}${addresses ? "" : WITHOUT_ADDRESSES}`,
    keep: "head",
  });
  const missing: { name: string; why: string }[] = [];
  for (const { name, keep, content } of parts) {
    // Our own names of files are no hosts; those of peers.d are made of names of peers.
    const shown = name.startsWith("config/peers.d/") ? clean(name) : name;
    if (!content.ok) missing.push({ name: shown, why: clean(content.error) });
    else if (
      !(await archive.add({ name: shown, text: cleaned(name, content.value, clean, pseudonyms), keep }))
    ) {
      missing.push({ name: shown, why: "the archive is full" });
    }
  }
  if (pseudonyms !== undefined) {
    const lines = pseudonyms
      .legend()
      .map(({ pseudonym, note }) => `${pseudonym}${note === "" ? "" : `: ${note}`}\n`);
    await archive.add({ name: "pseudonyms.txt", text: lines.join(""), keep: "head" });
  }
  const manifest = { addresses, files: archive.packed, missing };
  await archive.add({ name: "manifest.json", text: json(manifest), keep: "head" });
  io.progress?.("");
  return { bytes: await archive.finish(), files: archive.packed, missing };
}

/** In JSON only values are replaced, so that keys stay what they are. */
function cleaned(
  name: string,
  content: string,
  clean: (text: string) => string,
  pseudonyms: Pseudonyms | undefined,
): string {
  if (pseudonyms === undefined) return clean(content);
  if (name.endsWith(".json")) return withoutSecrets(json(pseudonyms.value(JSON.parse(content))));
  if (!name.endsWith(".jsonl")) return clean(content);
  const lines = content.split("\n").filter((line) => line !== "");
  return lines
    .map((line) => `${withoutSecrets(JSON.stringify(pseudonyms.value(JSON.parse(line))))}\n`)
    .join("");
}

async function daemonParts({ config, daemon }: Facts, events: number): Promise<readonly Part[]> {
  const metrics = await metricsPart(config.plan.metrics);
  if (!daemon.answers.ok) return [metrics];
  const client = ControlClient.open(config.plan.socket);
  if (!client.ok) return [metrics];
  try {
    return [metrics, await eventPart(client.value, events)];
  } finally {
    client.value.close();
  }
}

/** Numbers in the order of the peers: hit-3 and lsi-3 are those of peer-3 wherever all of them are known. */
function pseudonymsFor({ config, daemon }: Facts): Pseudonyms {
  const prefix = parsePrefix(config.plan.lsiPrefix);
  const pseudonyms = new Pseudonyms(prefix.ok ? prefix.value : undefined);
  if (daemon.answers.ok) {
    const { status, whereabouts } = daemon.answers.value;
    for (const { name, hit, lsi } of status.peers) {
      pseudonyms.name(name, "peer");
      if (hit !== null) pseudonyms.address(hit);
      if (lsi !== null) pseudonyms.address(lsi);
    }
    for (const { name } of status.self.identities) if (name !== "identity") pseudonyms.name(name, "identity");
    const instance = whereabouts?.cloud?.instance ?? "";
    pseudonyms.name(instance, "id");
  }
  for (const name of config.peerNames) pseudonyms.name(name, "peer");
  const host = hostname();
  pseudonyms.name(host, "host");
  const [short = ""] = host.split(".");
  if (short !== "localhost") pseudonyms.name(short, "host");
  return pseudonyms;
}
