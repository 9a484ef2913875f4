/** hipctl inventory import: signed files into peers.d, with the difference shown first. */
import { dirname } from "node:path";
import { formatHit, parseHit } from "../../core/ip.ts";
import type { Hit } from "../../core/types.ts";
import { type DaemonConfig, loadConfig, problemText } from "../../runtime/config-file.ts";
import { ControlClient } from "../../runtime/control-client.ts";
import type { NamedIdentityView } from "../../runtime/control-convert.ts";
import { exists } from "../../runtime/files.ts";
import { loadIdentities } from "../../runtime/identity-store.ts";
import { admit, applySteps } from "../../runtime/inventory/import.ts";
import { memoryFile, readMemory, writeMemory } from "../../runtime/inventory/memory.ts";
import {
  type Action,
  type Admitted,
  type Change,
  type Plan,
  planImport,
} from "../../runtime/inventory/plan.ts";
import { readTrust } from "../../runtime/inventory/trust.ts";
import { configuration } from "../configuration.ts";
import { CommandFailure, type Context, orExit } from "../context.ts";
import { EXIT, type ExitStatus, exitOf } from "../exit.ts";
import { type Io, type Style, table } from "../output.ts";
import { inventoryFile } from "./inventory-input.ts";

export interface ImportOptions {
  readonly trust?: readonly string[];
  readonly dryRun?: boolean;
  readonly prune?: boolean;
}

/** A socket that nobody named is that of the configuration. */
export async function importInventories(
  files: readonly string[],
  options: ImportOptions,
  context: Context,
  where: { readonly config: string; readonly socket: string | undefined },
): Promise<void> {
  const { io } = context;
  const config = configuration(where.config);
  const hipd = openHipd(where.socket ?? config.control.socket);
  try {
    const memory = memoryFile(config.stateDirectory);
    const { plan, admitted } = await planned(files, options, config, memory, hipd, io);
    const dryRun = options.dryRun === true;
    const shown = { dryRun, signers: signersOf(admitted), changes: plan.changes.map(changeView) };
    context.print(shown, () => changesText(admitted, plan, io, dryRun));
    if (!dryRun) await carryOut(plan, config, memory, hipd, context.json ? () => {} : io.out);
  } finally {
    hipd?.close();
  }
}

/** Everything that only reads. */
async function planned(
  files: readonly string[],
  options: ImportOptions,
  config: DaemonConfig,
  memoryPath: string,
  hipd: ControlClient | undefined,
  io: Io,
): Promise<{ readonly plan: Plan; readonly admitted: readonly Admitted[] }> {
  const trust = orExit(
    EXIT.config,
    readTrust({
      configured: config.inventory.trusted,
      folder: dirname(config.file),
      directory: config.inventory.trustedDirectory,
      given: options.trust ?? [],
    }),
  );
  const memory = orExit(EXIT.failed, readMemory(memoryPath));
  const texts = await Promise.all(files.map((file) => inventoryFile(file, io)));
  const results = files.map((file, i) => admit(file, texts[i] as string, trust, memory, io.now()));
  const refusals = results.flatMap((each) => (each.ok ? [] : [each.error]));
  if (refusals.length > 0) {
    const status = refusals.some(({ kind }) => kind === "bad") ? EXIT.failed : EXIT.permission;
    throw new CommandFailure(
      status,
      ["nothing was changed:", ...refusals.flatMap(({ problems }) => problems)].join("\n"),
    );
  }
  const admitted = results.flatMap((each) => (each.ok ? [each.value] : []));
  const own = await ownHits(config, hipd);
  const plan = planImport(admitted, config, own, memory, options.prune === true);
  if (!plan.ok) throw new CommandFailure(EXIT.failed, ["nothing was changed:", ...plan.error].join("\n"));
  return { plan: plan.value, admitted };
}

/** Writes peers.d, has hipd read it, and remembers; a file or a hipd that refuses leaves everything as it was. */
async function carryOut(
  plan: Plan,
  config: DaemonConfig,
  memoryPath: string,
  hipd: ControlClient | undefined,
  say: (text: string) => void,
): Promise<void> {
  const applied = await applySteps(config.peersDirectory, plan.steps);
  if (!applied.ok) throw new CommandFailure(EXIT.permission, `nothing was changed: ${applied.error}`);
  const undone = (status: ExitStatus, why: string): CommandFailure =>
    new CommandFailure(status, [`nothing was changed: ${why}`, ...applied.value()].join("\n"));
  const checked = loadConfig(config.file);
  if (!checked.ok) throw undone(EXIT.failed, checked.error.map(problemText).join("\n"));
  let reloaded = false;
  if (hipd !== undefined && plan.steps.length > 0) {
    const answer = await hipd.call<unknown>("Reload", {});
    if (answer.ok) reloaded = true;
    else if (answer.error.code !== "unreachable")
      throw undone(exitOf(answer.error.code), answer.error.message);
  }
  const remembered = writeMemory(memoryPath, plan.memory);
  if (!remembered.ok) {
    const failure = undone(EXIT.permission, remembered.error);
    if (reloaded) await hipd?.call("Reload", {});
    throw failure;
  }
  if (plan.steps.length > 0)
    say(reloaded ? "done; hipd uses it\n" : "done; hipd does not run and will read it when it starts\n");
}

/** Undefined when there is no running hipd. */
function openHipd(socket: string): ControlClient | undefined {
  const client = ControlClient.open(socket);
  if (client.ok) return client.value;
  if (client.error.code === "unreachable" && !exists(socket)) return undefined;
  throw new CommandFailure(exitOf(client.error.code), client.error.message);
}

/** HITs of this host: from hipd, else from the key files. */
async function ownHits(config: DaemonConfig, hipd: ControlClient | undefined): Promise<ReadonlySet<Hit>> {
  const answer = await hipd?.call<{ identities: readonly NamedIdentityView[] }>("ListIdentities", {});
  if (answer?.ok === true) {
    return new Set(answer.value.identities.flatMap(({ hit }) => parsed(hit)));
  }
  const { key, extra, directory } = config.identity;
  const places = { key: exists(key) ? key : undefined, extra, directory };
  return new Set(orExit(EXIT.permission, loadIdentities(places)).map(({ hit }) => hit));
}

function parsed(text: string): readonly Hit[] {
  const hit = parseHit(text);
  return hit.ok ? [hit.value] : [];
}

function signersOf(admitted: readonly Admitted[]) {
  return admitted.map(({ file, voucher, inventory }) => ({
    file,
    hit: formatHit(voucher.signer),
    as: voucher.as,
    trustedIn: voucher.trustedIn,
    created: new Date(inventory.created).toISOString(),
  }));
}

function changeView({ action, name, hit, detail }: Change) {
  return { action, name, hit: formatHit(hit), detail };
}

const STYLES: Partial<Record<Action, Style>> = {
  add: "green",
  change: "yellow",
  replace: "yellow",
  remove: "red",
  same: "dim",
  keep: "dim",
  self: "dim",
};

function changesText(admitted: readonly Admitted[], plan: Plan, io: Io, dryRun: boolean): string {
  const heads = signersOf(admitted).map(
    ({ file, hit, as, trustedIn, created }) =>
      `${file}: made ${created}, signed by ${hit} (${as === "operator" ? "operator" : "the host itself"}, trusted by ${trustedIn})\n`,
  );
  const rows = table(
    plan.changes,
    [
      { title: "ACTION", value: ({ action }) => action, style: ({ action }) => STYLES[action] },
      { title: "PEER", value: ({ name }) => name },
      { title: "HIT", value: ({ hit }) => formatHit(hit) },
      { title: "DETAIL", value: ({ detail }) => detail },
    ],
    io.color,
    io.terminal?.columns(),
  );
  const nothing =
    plan.steps.length === 0 ? "nothing to change\n" : dryRun ? "nothing was changed (--dry-run)\n" : "";
  return `${heads.join("")}${rows}${nothing}`;
}
