/** What must be right before the daemon touches anything: keys and settings together, and what was kept on disk. */
import { basename, join } from "node:path";
import { formatHit } from "../core/ip.ts";
import { err, NULL_HIT, ok, type Result } from "../core/types.ts";
import type { Identity } from "../crypto/identity.ts";
import type { OverlayConfig } from "../overlay/config.ts";
import { parseState } from "../overlay/state.ts";
import { type DaemonConfig, problemText } from "./config-file.ts";
import { type NamedIdentity, overlayConfig } from "./config-overlay.ts";
import { exists, groupId } from "./files.ts";
import {
  chosenIdentity,
  ensureMainIdentity,
  type IdentityPlaces,
  loadIdentities,
  type StoredIdentity,
} from "./identity-store.ts";
import { checkInstance, type InstancePlaces, readInstance } from "./instance.ts";
import type { Log } from "./log.ts";
import { StateStore } from "./state-store.ts";

/** Why the daemon could not start. */
export interface StartFailure {
  readonly kind: "config" | "permission" | "failed";
  readonly messages: readonly string[];
}

/** Keys and settings, checked against each other. */
export interface Prepared {
  readonly config: DaemonConfig;
  readonly identities: readonly StoredIdentity[];
  readonly overlay: OverlayConfig;
}

export function keysOf(prepared: Prepared): readonly Identity[] {
  return prepared.identities.map(({ identity }) => identity);
}

export function ownKey({ identities, overlay }: Prepared): Identity | undefined {
  return identities.find(({ identity }) => identity.hit === overlay.defaultIdentity)?.identity;
}

export function places(config: DaemonConfig): IdentityPlaces {
  const { key, extra, directory } = config.identity;
  return { key, extra, directory };
}

/** Loads the keys and joins them with the settings. */
export function prepare(config: DaemonConfig, r1CounterStart: bigint): Result<Prepared, StartFailure> {
  const identities = loadIdentities(places(config));
  if (!identities.ok) return err({ kind: "permission", messages: identities.error });
  const chosen = chosenIdentity(places(config));
  if (!chosen.ok) return err({ kind: "failed", messages: [chosen.error] });
  const overlay = overlayConfig(config, identities.value, chosen.value);
  if (!overlay.ok) return err({ kind: "config", messages: overlay.error.map(problemText) });
  const host = { ...overlay.value.host, r1CounterStart };
  return ok({ config, identities: identities.value, overlay: { ...overlay.value, host } });
}

/** What a start has found on the disk, or made there. */
export interface Found {
  readonly prepared: Prepared;
  readonly state: StateStore;
  /** What the overlay saved, if anything. */
  readonly saved: unknown;
  readonly r1CounterStart: bigint;
}

/** `prepare` for a start: an identity is made where there is none, and the R1 counter goes on from the last start's. */
export function prepareStart(
  config: DaemonConfig,
  instance: InstancePlaces,
  log: Log,
): Result<Found, StartFailure> {
  const failed = (kind: StartFailure["kind"], message: string) => err({ kind, messages: [message] });
  const state = new StateStore(config.stateDirectory, (message) => log.error("state-not-written", message));
  const opened = state.open();
  if (!opened.ok) return failed("permission", opened.error);
  const checked = checkMachine(config, instance, log);
  if (!checked.ok) return failed("config", checked.error);
  const made = ensureMainIdentity(config.identity.key);
  if (!made.ok) return failed("permission", made.error);
  if (made.value !== undefined) {
    const { hit, file, algorithm } = made.value;
    log.info("identity-created", "made this host's identity", { hit: formatHit(hit), algorithm, file });
  }
  const counter = state.nextR1Counter(Date.now());
  if (!counter.ok) return failed("permission", counter.error);
  const prepared = prepare(config, counter.value);
  if (!prepared.ok) return prepared;
  const saved = loadState(state, log);
  if (!saved.ok) return failed("failed", saved.error);
  return ok({ prepared: prepared.value, state, saved: saved.value, r1CounterStart: counter.value });
}

/** What `hipd --check` does beyond reading the file: keys that exist are checked, but none is made. */
export function checkConfig(config: DaemonConfig): Result<undefined, StartFailure> {
  const group = config.control.group === undefined ? ok(undefined) : groupId(config.control.group);
  if (!group.ok) return err({ kind: "config", messages: [`[control] group: ${group.error}`] });
  const { key } = config.identity;
  const firstStart = !exists(key);
  const loaded = loadIdentities({ ...places(config), key: firstStart ? undefined : key });
  if (!loaded.ok) return err({ kind: "permission", messages: loaded.error });
  const made: NamedIdentity[] = firstStart
    ? [{ name: basename(key).replace(/\.pem$/, ""), hit: NULL_HIT, suite: 0, algorithm: "", file: key }]
    : [];
  const joined = overlayConfig(config, [...made, ...loaded.value], undefined);
  return joined.ok ? ok(undefined) : err({ kind: "config", messages: joined.error.map(problemText) });
}

/** What was kept, or nothing; a damaged file is kept aside and told, never lost. */
export function loadState(store: StateStore, log: Log): Result<unknown, string> {
  const loaded = store.load();
  if (!loaded.ok) return loaded;
  let { value, damaged } = loaded.value;
  if (value !== undefined) {
    const parsed = parseState(value);
    const listed = (value as { readonly lsis?: unknown }).lsis;
    const entries = Array.isArray(listed) ? listed.length : 0;
    const aside =
      parsed === undefined
        ? store.setAside("it is not a state file of hipd")
        : parsed.lsis.length < entries
          ? store.copyAside(`${entries - parsed.lsis.length} of its entries are not readable`)
          : undefined;
    if (aside !== undefined && !aside.ok) return aside;
    damaged = aside?.value;
    if (parsed === undefined) value = undefined;
  }
  if (damaged !== undefined) {
    const { file, keptAs, reason } = damaged;
    const message = "the state file is damaged and was kept aside; peers may get other LSIs than before";
    log.error("state-damaged", message, { file, keptAs, reason });
  }
  return ok(value);
}

/** A copied disk makes another machine with the same keys. */
export function checkMachine(
  config: DaemonConfig,
  places: InstancePlaces,
  log: Log,
): Result<undefined, string> {
  const { key, onNewInstance } = config.identity;
  const file = join(config.stateDirectory, "instance.json");
  const stamp = `before-${new Date().toISOString().replace(/[-:]|\.\d+/g, "")}`;
  const checked = checkInstance(file, key, onNewInstance, readInstance(places), stamp);
  if (!checked.ok) return checked;
  const { changed, keptAs } = checked.value;
  if (changed !== undefined) {
    const fields = { changed, policy: onNewInstance, ...(keptAs === undefined ? {} : { keptAs }) };
    log[onNewInstance === "adopt" ? "info" : "warn"](
      "new-instance",
      "this is another machine than before",
      fields,
    );
  }
  return ok(undefined);
}
