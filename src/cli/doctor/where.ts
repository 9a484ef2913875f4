/** Which configuration and which socket are meant, also when hipd does not run. */
import type { Command } from "commander";
import { instanceConfigFile, parseInstanceName } from "../../runtime/overlay-instance.ts";
import { DEFAULT_CONFIG_FILE, usage } from "../context.ts";
import type { Io } from "../output.ts";

export const CONFIG_OPTION = [
  "--config <file>",
  `the configuration of hipd (default: ${DEFAULT_CONFIG_FILE}, or that of --instance)`,
] as const;

export function whereOf(
  command: Command,
  io: Io,
): {
  readonly config: string /** Undefined: the one of the configuration. */;
  readonly socket: string | undefined;
} {
  const options = command.optsWithGlobals<{ socket?: string; instance?: string; config?: string }>();
  const instance = options.instance ?? (io.environment["HIPD_INSTANCE"] || undefined);
  const name = instance === undefined ? undefined : parseInstanceName(instance);
  if (name?.ok === false) throw usage(name.error);
  const standard = name === undefined ? DEFAULT_CONFIG_FILE : instanceConfigFile(name.value);
  const variable = options.instance === undefined ? io.environment["HIPD_SOCKET"] || undefined : undefined;
  return { config: options.config ?? standard, socket: options.socket ?? variable };
}
