/** hipd.toml, for commands that work on the files that it names. */
import { type DaemonConfig, loadConfig, problemText } from "../runtime/config-file.ts";
import { CommandFailure } from "./context.ts";
import { EXIT } from "./exit.ts";

/** Its values, or the end of the command with everything that is wrong. */
export function configuration(file: string): DaemonConfig {
  const config = loadConfig(file);
  if (config.ok) return config.value;
  throw new CommandFailure(EXIT.config, config.error.map(problemText).join("\n"));
}
