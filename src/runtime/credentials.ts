/** What the service manager hands over in a folder of its own (LoadCredential=, systemd.exec(5)). */
import { join, sep } from "node:path";
import { exists } from "./files.ts";

/** In the configuration: `key = "credential:NAME"`. */
const SCHEME = "credential:";
/** Where systemd makes the folders. */
const FOLDERS = "/run/credentials";

type Environment = Readonly<Record<string, string | undefined>>;

/** The file of `credential:NAME`. Where there is no service manager (`hipd --check`), it is where a running unit has it. */
export function credentialPath(
  setting: string,
  unit: string,
  environment: Environment = process.env,
): string {
  return join(environment["CREDENTIALS_DIRECTORY"] || join(FOLDERS, unit), setting.slice(SCHEME.length));
}

export function isCredentialSetting(setting: string): boolean {
  return setting.startsWith(SCHEME);
}

/** Whether the manager made this file for this process: the folder keeps all others out, and the file may show an ACL as group rights. */
export function isOwnCredential(path: string, environment: Environment = process.env): boolean {
  const folder = environment["CREDENTIALS_DIRECTORY"];
  return folder !== undefined && folder !== "" && path.startsWith(folder + sep);
}

/** Whether only a service manager can put a file there. */
export function isCredentialPath(path: string, environment: Environment = process.env): boolean {
  return isOwnCredential(path, environment) || path.startsWith(FOLDERS + sep);
}

/** The file of an optional credential. */
export function optionalCredential(name: string, environment: Environment = process.env): string | undefined {
  const folder = environment["CREDENTIALS_DIRECTORY"];
  const file = folder ? join(folder, name) : undefined;
  return file !== undefined && exists(file) ? file : undefined;
}
