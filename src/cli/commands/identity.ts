/** hipctl identity: through hipd, or with --dir and --config on the key files themselves. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { type Command, Option } from "commander";
import type { KeyFormat } from "../../crypto/keyfile.ts";
import type { IdentityDetails, NamedIdentityView } from "../../runtime/control-convert.ts";
import { parseDnsName } from "../../runtime/dns/settings.ts";
import { CommandFailure, contextOf, orExit, usage, wholeNumber } from "../context.ts";
import { EXIT } from "../exit.ts";
import { type Io, pairs, table } from "../output.ts";
import { type IdentityFiles, openFiles } from "./identity-files.ts";

interface Where {
  readonly dir?: string;
  readonly config?: string;
}

interface ExportOptions extends Where {
  readonly private?: boolean;
  readonly format: string;
  readonly output?: string;
  /** What it was called before. */
  readonly out?: string;
  readonly dns?: string;
  readonly rvs?: readonly string[];
  readonly ttl: string;
}

export function addIdentity(program: Command, io: Io): void {
  const identity = program
    .command("identity")
    .description("make, list, show, export, import and choose this host's identities");
  const offline = (command: Command): Command =>
    command
      .option("--dir <folder>", "work on the key files of this folder, without hipd")
      .option("--config <file>", "work on the key files that this configuration names, without hipd");

  offline(identity.command("new [name]").description("make a key pair"))
    .option("--kind <kind>", "ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096 or ed25519", "ecdsa-p256")
    .action(async (name: string | undefined, options: Where & { kind: string }, command: Command) => {
      const context = contextOf(command, io);
      const files = await filesOf(options);
      if (files === undefined && name === undefined)
        throw usage("an identity needs a name: hipctl identity new NAME");
      const made =
        files === undefined
          ? await context.call<NamedIdentityView>(
              "NewIdentity",
              { name, kind: options.kind },
              60_000,
              "making a key",
            )
          : await files.create(name ?? "identity", options.kind);
      context.print(made, () => `made identity ${made.name} (${made.algorithm}): ${made.hit}\n`);
    });

  offline(identity.command("list").description("show all identities"))
    .option("--names", "only their names")
    .action(async (options: Where & { names?: boolean }, command: Command) => {
      const context = contextOf(command, io);
      const files = await filesOf(options);
      const list =
        files === undefined
          ? await context.call<{ identities: readonly NamedIdentityView[] }>("ListIdentities")
          : { identities: files.list() };
      context.print(list, () =>
        options.names
          ? list.identities.map((each) => `${each.name}\n`).join("")
          : listText(list.identities, io.color),
      );
    });

  offline(
    identity
      .command("show [identity]")
      .description("show one identity, by name or HIT (default: the default one)"),
  ).action(async (reference: string | undefined, options: Where, command: Command) => {
    const context = contextOf(command, io);
    const details = await detailsOf(reference ?? "", options, context.call);
    context.print(details, () => detailsText(details, io.color));
  });

  offline(
    identity
      .command("export [identity]")
      .description("write the public half, or with --private the key itself"),
  )
    .option("--private", "the private key: to the file of --output (mode 0600), else to standard output")
    .option("--format <format>", "of a private key: pkcs8 or openssh", "pkcs8")
    .option("-o, --output <file>", "write to this file; it must not exist yet")
    .addOption(new Option("--out <file>", "as --output").hideHelp())
    .option("--dns <name>", "the public half as a line of the zone file that holds this name (RFC 8005)")
    .option("--rvs <name...>", "with --dns: rendezvous servers, the preferred one first")
    .option("--ttl <seconds>", "with --dns: how long others may keep the record", "3600")
    .action(async (reference: string | undefined, options: ExportOptions, command: Command) => {
      const context = contextOf(command, io);
      if (options.format !== "pkcs8" && options.format !== "openssh") {
        throw usage(`--format: "${options.format}" is neither pkcs8 nor openssh`);
      }
      if (options.dns !== undefined && options.private === true)
        throw usage("--dns is for the public half, which is all that may stand in DNS: leave --private out");
      if (options.rvs !== undefined && options.dns === undefined) throw usage("--rvs needs --dns");
      if (options.format === "openssh" && !options.private)
        throw usage("--format is for private keys: add --private");
      const details = await detailsOf(reference ?? "", options, context.call);
      const text = options.private
        ? await privateText(details.identity.file, options.format)
        : options.dns === undefined
          ? `${details.identity.name}. ${details.hipRecord}\n`
          : zoneLine(options.dns, details.hipRecord, options);
      const out = options.output ?? options.out;
      const { hit } = details.identity;
      const isPrivate = options.private === true;
      if (out === undefined) {
        context.print({ hit, private: isPrivate, text }, () => text);
        return;
      }
      const { writePrivateKey } = await import("../../runtime/identity-store.ts");
      orExit(EXIT.permission, writePrivateKey(out, text));
      context.print({ file: out, hit, private: isPrivate }, () =>
        isPrivate
          ? `wrote the private key of ${details.identity.name} to ${out} (mode 0600)\n`
          : `wrote ${out}\n`,
      );
    });

  offline(
    identity
      .command("import <file>")
      .description("take a private key from a file (PKCS#8 or OpenSSH; - for standard input)"),
  )
    .option("--name <name>", "name of the identity (default: from the file's name)")
    .action(async (file: string, options: Where & { name?: string }, command: Command) => {
      const context = contextOf(command, io);
      const name = options.name ?? (file === "-" ? undefined : basename(file).replace(/\.[^.]*$/, ""));
      if (name === undefined) throw usage("a key from standard input needs a name: --name NAME");
      const key = await readInput(file, io);
      const files = await filesOf(options);
      const made =
        files === undefined
          ? await context.call<NamedIdentityView>("ImportIdentity", { name, privateKey: key })
          : files.import(name, key);
      key.fill(0);
      context.print(made, () => `imported identity ${made.name} (${made.algorithm}): ${made.hit}\n`);
    });

  offline(
    identity
      .command("use <identity>")
      .description("make an identity the default one, or the one that a peer is shown"),
  )
    .option("--peer <peer>", "only towards this peer, until the next reload or restart")
    .action(async (reference: string, options: Where & { peer?: string }, command: Command) => {
      const context = contextOf(command, io);
      const files = await filesOf(options);
      if (files !== undefined && options.peer !== undefined)
        throw usage("--peer needs a running hipd, without --dir and --config");
      const list =
        files === undefined
          ? await context.call<{ identities: readonly NamedIdentityView[] }>("UseIdentity", {
              identity: reference,
              peer: options.peer,
            })
          : { identities: files.use(reference) };
      context.print(list, () => listText(list.identities, io.color));
    });
}

/** A record of RFC 8005 6 with its owner, as BIND, Knot, NSD and others read it. */
function zoneLine(
  owner: string,
  record: string,
  { rvs = [], ttl }: Pick<ExportOptions, "rvs" | "ttl">,
): string {
  const names = [owner, ...rvs].map((text) => {
    const name = parseDnsName(text);
    if (!name.ok) throw usage(name.error);
    return `${name.value}.`;
  });
  const life = wholeNumber("--ttl", 0, 604_800)(ttl);
  const servers = names.slice(1).map((name) => ` ${name}`);
  return `${names[0]} ${life} ${record.replace(/ \)$/, `${servers.join("")} )`)}\n`;
}

async function filesOf(where: Where): Promise<IdentityFiles | undefined> {
  if (where.dir !== undefined && where.config !== undefined)
    throw usage("--dir and --config exclude each other");
  if (where.dir === undefined && where.config === undefined) return undefined;
  return openFiles(where);
}

async function detailsOf(
  reference: string,
  where: Where,
  call: <T>(method: string, request?: unknown) => Promise<T>,
): Promise<IdentityDetails> {
  const files = await filesOf(where);
  if (files !== undefined) return files.details(reference);
  return call<IdentityDetails>("GetIdentity", { identity: reference });
}

/** hipd never hands out private keys: they are read from their file, which needs the right to do so. */
async function privateText(file: string, format: KeyFormat): Promise<string> {
  const { readIdentity } = await import("../../runtime/identity-store.ts");
  const { writePrivateKey } = await import("../../crypto/keyfile.ts");
  return writePrivateKey(orExit(EXIT.permission, readIdentity(file)).identity, format);
}

async function readInput(file: string, io: Io): Promise<Uint8Array> {
  if (file === "-") return io.input();
  try {
    return new Uint8Array(readFileSync(file));
  } catch (error) {
    const { whyNot } = await import("../../runtime/files.ts");
    throw new CommandFailure(EXIT.failed, `${file}: cannot be read: ${whyNot(error)}`);
  }
}

export function listText(identities: readonly NamedIdentityView[], color: boolean): string {
  return table(
    identities,
    [
      { title: "IDENTITY", value: (each) => each.name },
      { title: "DEFAULT", value: (each) => (each.default ? "yes" : "") },
      { title: "ALGORITHM", value: (each) => each.algorithm },
      { title: "HIT", value: (each) => each.hit },
      {
        title: "PEERS",
        value: (each) => (each.peers.length > 3 ? String(each.peers.length) : each.peers.join(", ")),
      },
    ],
    color,
  );
}

export function detailsText(details: IdentityDetails, color: boolean): string {
  const { name, hit, suite, algorithm, file, default: isDefault, peers } = details.identity;
  return pairs(
    [
      ["name", `${name}${isDefault ? " (default)" : ""}`],
      ["HIT", hit],
      ["algorithm", `${algorithm} (HIT suite ${suite})`],
      ["file", file],
      ["shown to", peers.join(", ")],
      ["DNS record", details.hipRecord],
    ],
    color,
  );
}
