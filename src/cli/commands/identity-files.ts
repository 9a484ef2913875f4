/** Identities as files, for hipctl without hipd: in images, in rescue systems, before the first start. */
import { basename, join, resolve } from "node:path";
import { formatHit } from "../../core/ip.ts";
import type { Hit, Result } from "../../core/types.ts";
import { writeHipRecord } from "../../crypto/keyfile.ts";
import { findIdentity } from "../../runtime/config-overlay.ts";
import type { IdentityDetails, NamedIdentityView } from "../../runtime/control-convert.ts";
import { exists } from "../../runtime/files.ts";
import {
  chooseIdentity,
  chosenIdentity,
  createIdentity,
  type IdentityPlaces,
  identityFile,
  importIdentity,
  loadIdentities,
  parseKind,
  type StoredIdentity,
} from "../../runtime/identity-store.ts";
import { configuration } from "../configuration.ts";
import { CommandFailure, orExit, usage } from "../context.ts";
import { EXIT } from "../exit.ts";

export interface IdentityFiles {
  list(): readonly NamedIdentityView[];
  details(reference: string): IdentityDetails;
  create(name: string, kind: string): Promise<NamedIdentityView>;
  import(name: string, key: Uint8Array): NamedIdentityView;
  use(reference: string): readonly NamedIdentityView[];
}

interface Setting {
  readonly places: IdentityPlaces;
  /** The file's own choice of the default identity. */
  readonly fixed: string | undefined;
  readonly file: string | undefined;
}

export function openFiles(where: { readonly dir?: string; readonly config?: string }): IdentityFiles {
  const setting = where.config === undefined ? folder(resolve(where.dir ?? ".")) : configured(where.config);
  const { places } = setting;

  const load = (): readonly StoredIdentity[] => {
    const present = {
      ...places,
      key: places.key !== undefined && exists(places.key) ? places.key : undefined,
    };
    return orExit(EXIT.permission, loadIdentities(present));
  };
  const preferred = (all: readonly StoredIdentity[]): Hit | undefined => {
    const chosen = orFailed(chosenIdentity(places));
    const fixed = setting.fixed === undefined ? undefined : findIdentity(all, setting.fixed);
    return (fixed ?? all.find((each) => each.hit === chosen) ?? all[0])?.hit;
  };
  const views = (): readonly NamedIdentityView[] => {
    const all = load();
    const standard = preferred(all);
    return all.map((each) => view(each, each.hit === standard));
  };
  const find = (reference: string): StoredIdentity => {
    const all = load();
    const standard = preferred(all);
    const found = reference === "" ? all.find((each) => each.hit === standard) : findIdentity(all, reference);
    if (found !== undefined) return found as StoredIdentity;
    const message =
      all.length === 0
        ? `there is no identity in ${places.directory}; make one: hipctl identity new`
        : `there is no identity "${reference}"`;
    throw new CommandFailure(EXIT.name, message);
  };
  const viewOf = (made: StoredIdentity): NamedIdentityView =>
    views().find((each) => each.hit === formatHit(made.hit)) ?? view(made, false);

  return {
    list: views,
    details: (reference) => {
      const found = find(reference);
      const identity = views().find((each) => each.hit === formatHit(found.hit)) ?? view(found, false);
      return { identity, hipRecord: writeHipRecord(found.identity.publicOnly()) };
    },
    create: async (name, kind) => {
      const checked = parseKind(kind);
      if (!checked.ok) throw usage(checked.error);
      return viewOf(orFailed(await createIdentity(fileFor(places, name), checked.value)));
    },
    import: (name, key) => viewOf(orFailed(importIdentity(fileFor(places, name), key, load()))),
    use: (reference) => {
      const found = find(reference);
      if (setting.fixed !== undefined) {
        throw new CommandFailure(
          EXIT.permission,
          `${setting.file} sets [identity] default = "${setting.fixed}"; change it there`,
        );
      }
      orFailed(chooseIdentity(places, found.hit));
      return views();
    },
  };
}

function folder(directory: string): Setting {
  const key = join(directory, "identity.pem");
  return { places: { key, extra: [], directory }, fixed: undefined, file: undefined };
}

function configured(file: string): Setting {
  const config = configuration(file);
  const { key, extra, directory, default: fixed } = config.identity;
  return { places: { key, extra, directory }, fixed, file: config.file };
}

/** The main key's own file when it is meant and not there yet. */
function fileFor(places: IdentityPlaces, name: string): string {
  if (places.key !== undefined && basename(places.key).replace(/\.pem$/, "") === name) return places.key;
  const file = identityFile(places, name);
  if (!file.ok) throw usage(file.error);
  return file.value;
}

function view(stored: StoredIdentity, isDefault: boolean): NamedIdentityView {
  const { name, hit, suite, algorithm, file } = stored;
  return { name, hit: formatHit(hit), suite, algorithm, file, default: isDefault, peers: [] };
}

function orFailed<T>(result: Result<T, string>): T {
  if (result.ok) return result.value;
  throw new CommandFailure(result.error.includes("exists already") ? EXIT.name : EXIT.failed, result.error);
}
