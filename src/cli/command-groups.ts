/** The order of hipctl's commands in its help: by what somebody wants to do. */
import type { Command } from "commander";

const GROUPS: Readonly<Record<string, readonly string[]>> = {
  "Look at it:": ["status", "top", "events", "counters", "drops", "version"],
  "Peers and the ways to them:": ["peer", "association", "connect", "wait", "ping", "locator", "handover"],
  "When something is wrong:": ["why", "doctor", "netcheck", "report", "bundle"],
  "This host:": ["identity", "dns", "inventory", "image", "migrate", "takeover", "reload"],
};
const OTHERS = "Others:";

/** Puts every command under a heading. What is in no group stands at the end. */
export function arrange(program: Command): void {
  const names = Object.values(GROUPS).flat();
  const rank = (command: Command): number => {
    const at = names.indexOf(command.name());
    return at < 0 ? names.length : at;
  };
  (program.commands as Command[]).sort((a, b) => rank(a) - rank(b));
  for (const command of program.commands) {
    const group = Object.entries(GROUPS).find(([, members]) => members.includes(command.name()));
    command.helpGroup(group?.[0] ?? OTHERS);
  }
  program.commandsGroup(OTHERS).helpCommand("help [command]", "show this, or the help of a command");
}
