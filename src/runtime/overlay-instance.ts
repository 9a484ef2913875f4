/** Several overlays on one host: each is an instance with a name, and what it has of its own unless its configuration says otherwise. */
import { basename, dirname, join, resolve } from "node:path";
import { err, ok, type Result } from "../core/types.ts";

/** Linux's limit of an interface's name. */
const MAX_INTERFACE = 15;
const INTERFACE_PREFIX = "hip-";
const MAX_NAME = 32;
const DNS_LABEL = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

/** As systemd's "hipd@NAME.service" and a file of /etc/hipd can be called. */
export function parseInstanceName(text: string): Result<string, string> {
  if (/^[a-z0-9][a-z0-9_-]*$/.test(text) && text.length <= MAX_NAME && text !== "hipd") return ok(text);
  return err(
    `"${text}" cannot be the name of an instance: 1 to ${MAX_NAME} of a-z, 0-9, - and _, and not "hipd"`,
  );
}

const CONFIG_FOLDER = "/etc/hipd";

export function instanceConfigFile(name: string): string {
  return join(CONFIG_FOLDER, `${name}.toml`);
}

/** The name of the instance that a file of /etc/hipd belongs to; undefined for hipd.toml and for files elsewhere. */
export function instanceOfFile(file: string): string | undefined {
  const path = resolve(file);
  const name = parseInstanceName(basename(path, ".toml"));
  return dirname(path) === CONFIG_FOLDER && path.endsWith(".toml") && name.ok ? name.value : undefined;
}

export function instanceSocket(name: string): string {
  return `/run/hipd-${name}/hipd.sock`;
}

type Table = Record<string, unknown>;

/** The same document of hipd.toml with the instance's own defaults where nothing is said. Paths are relative to the file's folder. */
export function withInstanceDefaults(document: Table, name: string): Table {
  const table = (key: string, defaults: Table): Table => {
    const given = document[key];
    // What is not a table is refused later.
    if (given !== undefined && (typeof given !== "object" || given === null)) return {};
    return { [key]: { ...defaults, ...given } };
  };
  const device = `${INTERFACE_PREFIX}${name}`;
  const standard = join("/var/lib", `hipd-${name}`);
  const state = (document["state"] as Table | undefined)?.["directory"] ?? standard;
  return {
    // Where the instance may write without anybody having made a folder for it.
    ...(typeof state === "string" ? { peers_dir: join(state, "peers.d") } : {}),
    ...document,
    ...table("network", {
      ...(device.length <= MAX_INTERFACE ? { interface: device } : {}),
      hit_routes: "peers",
    }),
    // Both overlays may have a peer of one name.
    ...(DNS_LABEL.test(name) ? table("dns", { domain: `${name}.hip` }) : {}),
    ...table("control", { socket: instanceSocket(name) }),
    ...table("state", { directory: standard }),
  };
}
