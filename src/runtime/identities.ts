/** The host's identities as operators see and change them while hipd runs. */
import { formatHit } from "../core/ip.ts";
import { err, ok, type Result } from "../core/types.ts";
import { writeHipRecord } from "../crypto/keyfile.ts";
import type { ConfigChanges } from "../overlay/control.ts";
import type { DaemonConfig } from "./config-file.ts";
import { findIdentity } from "./config-overlay.ts";
import type { Problem } from "./control-convert.ts";
import {
  chooseIdentity,
  createIdentity,
  identityFile,
  importIdentity,
  parseKind,
  removeIdentity,
  type StoredIdentity,
} from "./identity-store.ts";
import { type Prepared, places } from "./prepare.ts";

/** `reference` is a name or a HIT; "": the default one. */
export class Identities {
  readonly #active: () => Prepared;
  readonly #apply: (config: DaemonConfig) => Result<ConfigChanges, Problem>;

  /** `active`: what the daemon runs with; `apply`: makes it run with another configuration, or with other key files. */
  constructor(active: () => Prepared, apply: (config: DaemonConfig) => Result<ConfigChanges, Problem>) {
    this.#active = active;
    this.#apply = apply;
  }

  /** The name of the identity with this HIT; "" when there is none. */
  name(hit: string): string {
    return this.#active().identities.find((identity) => formatHit(identity.hit) === hit)?.name ?? "";
  }

  /** In RFC 5952 form. */
  hit(reference: string): Result<string, Problem> {
    const found = this.#find(reference);
    return found.ok ? ok(formatHit(found.value.hit)) : found;
  }

  #find(reference: string): Result<StoredIdentity, Problem> {
    const { identities, overlay } = this.#active();
    const found =
      reference === ""
        ? identities.find((identity) => identity.hit === overlay.defaultIdentity)
        : findIdentity(identities, reference);
    if (found === undefined)
      return err({ code: "not_found", message: `there is no identity "${reference}"` });
    return ok(found as StoredIdentity);
  }

  /** HIT and DNS record (RFC 8005). */
  publicPart(reference: string): Result<{ readonly hit: string; readonly hipRecord: string }, Problem> {
    const found = this.#find(reference);
    if (!found.ok) return found;
    const { hit, identity } = found.value;
    return ok({ hit: formatHit(hit), hipRecord: writeHipRecord(identity.publicOnly()) });
  }

  /** Makes a key and its file, and uses it from now on. The HIT. */
  async make(name: string, kind: string): Promise<Result<string, Problem>> {
    const checked = parseKind(kind === "" ? "ecdsa-p256" : kind);
    const file = identityFile(places(this.#active().config), name);
    if (!checked.ok) return err({ code: "invalid", message: checked.error });
    if (!file.ok) return err({ code: "invalid", message: file.error });
    return this.#adopt(await createIdentity(file.value, checked.value));
  }

  /** The same with a key that exists. */
  import(name: string, key: Uint8Array): Result<string, Problem> {
    const file = identityFile(places(this.#active().config), name);
    if (!file.ok) return err({ code: "invalid", message: file.error });
    return this.#adopt(importIdentity(file.value, key, this.#active().identities));
  }

  #adopt(made: Result<StoredIdentity, string>): Result<string, Problem> {
    if (!made.ok)
      return err({ code: made.error.includes("exists already") ? "exists" : "failed", message: made.error });
    const applied = this.#apply(this.#active().config);
    if (applied.ok) return ok(formatHit(made.value.hit));
    removeIdentity(made.value.file);
    return applied;
  }

  /** Makes it the default, also after a restart. */
  use(reference: string): Result<undefined, Problem> {
    const found = this.#find(reference);
    if (!found.ok) return found;
    const { config } = this.#active();
    if (config.identity.default !== undefined) {
      const message = `${config.file} sets [identity] default = "${config.identity.default}"; change it there and run: hipctl reload`;
      return err({ code: "denied", message });
    }
    const chosen = chooseIdentity(places(config), found.value.hit);
    if (!chosen.ok) return err({ code: "failed", message: chosen.error });
    const applied = this.#apply(config);
    return applied.ok ? ok(undefined) : applied;
  }
}
