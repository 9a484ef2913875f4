/** hipctl inventory export, sign, show, import: fleets of fixed members, by signed files (docs/INVENTORY.md). */
import { hostname } from "node:os";
import type { Command } from "commander";
import { formatHit } from "../../core/ip.ts";
import { type Endpoint, endpointText } from "../../core/types.ts";
import type { Identity } from "../../crypto/identity.ts";
import type { OwnLocatorView } from "../../overlay/locator-views.ts";
import { parseLocator, parseName } from "../../runtime/config-values.ts";
import type { IdentityDetails } from "../../runtime/control-convert.ts";
import { readSecret, whyNot, writeAtomically } from "../../runtime/files.ts";
import { parseKey, readIdentity } from "../../runtime/identity-store.ts";
import {
  inventoryOf,
  inventoryText,
  type Member,
  type SignedInventory,
} from "../../runtime/inventory/document.ts";
import { CommandFailure, type Context, contextOf, orExit, usage } from "../context.ts";
import { CONFIG_OPTION, whereOf } from "../doctor/where.ts";
import { EXIT } from "../exit.ts";
import { type Io, pairs, table } from "../output.ts";
import type { ImportOptions } from "./inventory-import.ts";
import { readInventoryFile } from "./inventory-input.ts";

interface ExportOptions {
  readonly name?: string;
  readonly identity?: string;
  readonly locator?: readonly string[];
  readonly expires?: number;
  readonly output?: string;
  readonly dir?: string;
  readonly config?: string;
}

interface SignOptions {
  readonly key: string;
  readonly expires?: number;
  readonly without?: readonly string[];
  readonly output?: string;
}

const collect = (value: string, former: readonly string[] = []): readonly string[] => [...former, value];

const DAY = 86_400_000;
const MAX_DAYS = 36_500;

export function addInventory(program: Command, io: Io): void {
  const inventory = program
    .command("inventory")
    .description("tell a fleet who its members are, by signed files");

  inventory
    .command("export")
    .description("write who this host is and where, signed with its own key")
    .option("--name <name>", "what the others are to call it (default: the first label of the host's name)")
    .option("--identity <identity>", "which of its identities (default: the default one)")
    .option(
      "--locator <address>",
      'where it is, best first (default: what "hipctl locator list" offers); "none": it speaks first',
      collect,
    )
    .option("--expires <time>", "not to be imported after this: 12h, 30d", span)
    .option("-o, --output <file>", "write to this file (default: standard output)")
    .option("--dir <folder>", "with the key files of this folder, without hipd")
    .option("--config <file>", "with the key files that this configuration names, without hipd")
    .action(async (options: ExportOptions, command: Command) => {
      const context = contextOf(command, io);
      const name = memberName(options.name);
      const key = await keyOf(options, context);
      const locators = await locatorsOf(options, context);
      const member: Member = { name, identity: key.publicOnly(), locators };
      write(context, inventoryOf(io.now(), expiry(io, options.expires), [member]), key, options.output);
    });

  inventory
    .command("sign <file...>")
    .description("join inventories into one and sign it with an operator's key")
    .requiredOption("--key <file>", "the operator's private key, as `hipctl identity new --dir` makes it")
    .option("--without <name>", "leave this member out (may be repeated)", collect)
    .option("--expires <time>", "not to be imported after this: 12h, 30d", span)
    .option("-o, --output <file>", "write to this file (default: standard output)")
    .action(async (files: readonly string[], options: SignOptions, command: Command) => {
      const context = contextOf(command, io);
      const key = operatorKey(options.key);
      const read = await Promise.all(
        files.map(async (file) => ({ file, inventory: await readInventoryFile(file, io) })),
      );
      const members = joined(read, key, io.now(), options.without ?? []);
      write(context, inventoryOf(io.now(), expiry(io, options.expires), members), key, options.output);
    });

  inventory
    .command("show <file>")
    .description(
      "check the signatures of an inventory and show it; whether they are trusted is for import to say",
    )
    .action(async (file: string, _options, command: Command) => {
      const context = contextOf(command, io);
      const shown = await readInventoryFile(file, io);
      context.print(view(shown), () => shownText(shown, io));
    });

  inventory
    .command("import <file...>")
    .description("add the members to this host's peers, if somebody signed who is trusted")
    .option(
      "--trust <key>",
      "trust this operator's public key (a file), or this host for itself (its HIT); may be repeated",
      collect,
    )
    .option("--dry-run", "only show what would change")
    .option("--prune", "also remove peers that the same signer brought before and does not list any more")
    .option(...CONFIG_OPTION)
    .action(async (files: readonly string[], options: ImportOptions, command: Command) => {
      const { importInventories } = await import("./inventory-import.ts");
      await importInventories(files, options, contextOf(command, io), whereOf(command, io));
    });
}

function span(text: string): number {
  const match = /^([1-9][0-9]{0,5})([hd])$/.exec(text);
  const millis = match === null ? 0 : Number(match[1]) * (match[2] === "d" ? DAY : DAY / 24);
  if (millis <= 0 || millis > MAX_DAYS * DAY)
    throw usage(`--expires: "${text}" is not a number of hours or days, like 12h or 30d`);
  return millis;
}

function expiry(io: Io, millis: number | undefined): number | undefined {
  return millis === undefined ? undefined : io.now() + millis;
}

function memberName(given: string | undefined): string {
  const name = parseName(given ?? (hostname().split(".")[0] ?? "").toLowerCase());
  if (name.ok) return name.value;
  throw usage(
    given === undefined
      ? `the host's name is no peer's name: ${name.error}; give one: --name NAME`
      : `--name: ${name.error}`,
  );
}

/** hipd never hands out private keys: the key is read from its file, which needs the right to do so. */
async function keyOf(options: ExportOptions, context: Context): Promise<Identity> {
  const { dir, config, identity = "" } = options;
  if (dir !== undefined && config !== undefined) throw usage("--dir and --config exclude each other");
  const offline = dir !== undefined || config !== undefined;
  const details = offline
    ? (await import("./identity-files.ts"))
        .openFiles(dir === undefined ? { config: config ?? "" } : { dir })
        .details(identity)
    : await context.call<IdentityDetails>("GetIdentity", { identity });
  return orExit(EXIT.permission, readIdentity(details.identity.file)).identity;
}

async function locatorsOf(options: ExportOptions, context: Context): Promise<readonly Endpoint[]> {
  const { locator: given, dir, config } = options;
  if (given?.includes("none") === true) {
    if (given.length > 1) throw usage('--locator: "none" stands alone');
    return [];
  }
  if (given !== undefined) return given.map((each) => endpoint("--locator", each));
  if (dir !== undefined || config !== undefined)
    throw usage("without hipd nobody knows where this host is: --locator ADDRESS, or --locator none");
  const { own } = await context.call<{ own: readonly OwnLocatorView[] }>("ListLocators", {});
  // What a NAT made of an address holds for a while only.
  const fixed = own.filter(({ state, source }) => state === "offered" && source !== "reflexive");
  return fixed.map(({ address }) => endpoint("locator", address));
}

function endpoint(what: string, text: string): Endpoint {
  const parsed = parseLocator(text);
  if (parsed.ok) return parsed.value;
  throw usage(`${what}: ${parsed.error}`);
}

function operatorKey(file: string): Identity {
  const bytes = orExit(EXIT.permission, readSecret(file));
  const key = parseKey(bytes);
  bytes.fill(0);
  if (key.ok) return key.value;
  throw new CommandFailure(EXIT.permission, `${file}: is not a usable private key: ${key.error}`);
}

interface Read {
  readonly file: string;
  readonly inventory: SignedInventory;
}

/** Each member as its newest file says. A member must have signed for itself, or this operator for it before. */
function joined(
  files: readonly Read[],
  key: Identity,
  now: number,
  without: readonly string[],
): readonly Member[] {
  const members = new Map<string, Member>();
  const problems: string[] = [];
  const oldestFirst = [...files].sort((a, b) => a.inventory.created - b.inventory.created);
  for (const { file, inventory } of oldestFirst) {
    const { expires } = inventory;
    if (expires !== undefined && expires <= now)
      problems.push(`${file}: it expired at ${new Date(expires).toISOString()}`);
    for (const member of inventory.members) {
      const { hit } = member.identity;
      if (inventory.signers.every((signer) => signer.hit !== hit && signer.hit !== key.hit)) {
        problems.push(
          `${file}: "${member.name}" is signed neither by its own key nor by this operator's; take the file that the host itself exported`,
        );
      }
      members.set(hit, member);
    }
  }
  for (const name of without) {
    const gone = [...members].filter(([, member]) => member.name === name);
    if (gone.length === 0) problems.push(`--without: there is no member "${name}"`);
    for (const [hit] of gone) members.delete(hit);
  }
  const names = new Map<string, Member>();
  for (const member of members.values()) {
    const twin = names.get(member.name);
    if (twin !== undefined) {
      const hits = [twin, member].map(({ identity }) => formatHit(identity.hit)).join(" and ");
      problems.push(
        `the name "${member.name}" belongs to two hosts, ${hits}; give one another name, or --without`,
      );
    }
    names.set(member.name, member);
  }
  if (problems.length === 0 && members.size === 0) problems.push("no member is left");
  if (problems.length > 0) throw new CommandFailure(EXIT.failed, problems.join("\n"));
  return [...members.values()];
}

function write(
  context: Context,
  inventory: ReturnType<typeof inventoryOf>,
  key: Identity,
  output: string | undefined,
): void {
  const text = inventoryText(inventory, [key]);
  if (output === undefined || output === "-") {
    context.io.out(text);
    return;
  }
  try {
    writeAtomically(output, text, 0o644);
  } catch (error) {
    throw new CommandFailure(EXIT.failed, `${output}: cannot be written: ${whyNot(error)}`);
  }
  const { members } = inventory;
  const signer = formatHit(key.hit);
  context.print({ file: output, members: members.length, signer }, () => {
    const who = members.length === 1 ? `"${members[0]?.name}"` : `${members.length} members`;
    return `wrote ${output}: ${who}, signed by ${signer}\n`;
  });
}

function view({ created, expires, members, signers }: SignedInventory) {
  return {
    created: new Date(created).toISOString(),
    expires: expires === undefined ? null : new Date(expires).toISOString(),
    signers: signers.map(({ hit }) => formatHit(hit)),
    members: members.map(({ name, identity, locators }) => ({
      name,
      hit: formatHit(identity.hit),
      locators: locators.map(endpointText),
    })),
  };
}

function shownText(inventory: SignedInventory, io: Io): string {
  const { created, expires, signers, members } = view(inventory);
  const ended = inventory.expires !== undefined && inventory.expires <= io.now();
  const head = pairs(
    [
      ["made", created],
      ["expires", expires === null ? "never" : `${expires}${ended ? " (it has)" : ""}`],
      ["signed by", signers.join(", ")],
    ],
    io.color,
  );
  const rows = table(
    members,
    [
      { title: "MEMBER", value: (each) => each.name },
      { title: "HIT", value: (each) => each.hit },
      { title: "LOCATORS", value: (each) => each.locators.join(", ") },
    ],
    io.color,
    io.terminal?.columns(),
  );
  return `${head}\n${rows}`;
}
