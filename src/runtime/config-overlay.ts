/** The configuration joined with the identities that exist: what the overlay is told. */
import { formatHit } from "../core/ip.ts";
import { err, type Hit, ok, type Result } from "../core/types.ts";
import type { IdentityConfig, OverlayConfig, PeerConfig } from "../overlay/config.ts";
import type { Problem } from "./config-document.ts";
import type { DaemonConfig } from "./config-file.ts";
import { didYouMean } from "./nearest.ts";
import type { Position } from "./toml-positions.ts";

/** An identity as the configuration can refer to it. */
export interface NamedIdentity extends IdentityConfig {
  readonly name: string;
}

/** Finds an identity by name, file or HIT. */
export function findIdentity(
  identities: readonly NamedIdentity[],
  reference: string,
): NamedIdentity | undefined {
  const wanted = reference.toLowerCase();
  return identities.find(
    (identity) =>
      identity.name === wanted || identity.file === reference || sameHitText(identity.hit, wanted),
  );
}

function sameHitText(hit: Hit, text: string): boolean {
  return formatHit(hit) === text || hit === text;
}

/** Joins the configuration with the identities that exist. `chosen` is the choice of `hipctl identity use`. */
export function overlayConfig(
  config: DaemonConfig,
  identities: readonly NamedIdentity[],
  chosen: Hit | undefined,
): Result<OverlayConfig, readonly Problem[]> {
  const problems: Problem[] = [];
  const names = identities.map((identity) => identity.name);
  const refer = (
    reference: string,
    file: string,
    position: Position,
    where: string,
  ): NamedIdentity | undefined => {
    const found = findIdentity(identities, reference);
    if (found === undefined) {
      problems.push({
        file,
        position,
        message: `${where}: there is no identity "${reference}"${didYouMean(reference, names)}`,
      });
    }
    return found;
  };
  const configured =
    config.identity.default === undefined
      ? undefined
      : refer(config.identity.default, config.file, config.identity.defaultAt, "[identity] default");
  const preferred = configured ?? identities.find((identity) => identity.hit === chosen) ?? identities[0];
  const own = new Map(identities.map((identity) => [identity.hit, identity]));
  const peers = config.peers.map((peer): PeerConfig => {
    const { name, hit, identity, at, identityAt, carrier, locators, inboundFamily, dns, source, file } = peer;
    const mine = peer.hit === undefined ? undefined : own.get(peer.hit);
    if (mine !== undefined) {
      problems.push({
        file: peer.file,
        position: at,
        message: `[[peer]] "${peer.name}": this HIT is our own identity "${mine.name}"`,
      });
    }
    const shown =
      identity === undefined
        ? undefined
        : refer(identity, peer.file, identityAt, `[[peer]] "${peer.name}" identity`);
    // Thousands of them stay: fields that are spread are kept in a list of their own.
    return { name, hit, localHit: shown?.hit, carrier, locators, inboundFamily, dns, source, file };
  });
  if (preferred === undefined) {
    problems.push({ file: config.file, position: undefined, message: "there is no identity" });
    return err(problems);
  }
  if (problems.length > 0) return err(problems);
  return ok({
    identities: identities.map(({ hit, suite, algorithm, file, key }) => ({
      ...{ hit, suite, algorithm, file },
      ...(key === undefined ? {} : { key }),
    })),
    defaultIdentity: preferred.hit,
    host: config.host,
    peers,
    locators: config.locators,
    names: config.names,
    port: config.network.port,
    lsiPrefix: config.network.lsiPrefix,
  });
}
