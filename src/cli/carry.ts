/** `hipd --carry SOCKET`: the carrier's main program (src/runtime/carry.ts). It loads none of what a hipd needs. */

import { getPriority } from "node:os";
import { wrongCarrierSocket } from "../runtime/carrier.ts";
import { carry } from "../runtime/carry.ts";
import { ownNetwork } from "../runtime/carry-message.ts";
import { addon } from "../runtime/early.ts";
import { createLog, type Log, standardOutput } from "../runtime/log.ts";
import type { Addon } from "../runtime/native-addon.ts";
import type { HandoffAddon } from "../runtime/native-handoff.ts";
import type { ServiceAddon } from "../runtime/native-service.ts";
import { setNice } from "../runtime/priority.ts";
import { serviceManager } from "../runtime/systemd.ts";
import { EXIT, type ExitStatus } from "./exit.ts";

/** Ends when it has carried, or when nobody needs it. SIGTERM ends it at once, with everything it has. */
export async function carrierMain(args: readonly string[]): Promise<ExitStatus> {
  const [socket = "", ...more] = args;
  const wrong = more.length > 0 ? `"${more[0]}" is too much` : wrongCarrierSocket(socket);
  if (wrong !== undefined) {
    process.stderr.write(`hipd: --carry: ${wrong}; try: hipd --help\n`);
    return EXIT.usage;
  }
  const log = createLog({ level: "info", format: "json", color: false }, standardOutput(process.env));
  try {
    return serve(socket, log);
  } catch (error) {
    log.error("start-failed", (error as Error).message);
    return EXIT.failed;
  }
}

function serve(socket: string, log: Log): ExitStatus {
  const native = addon() as Addon & ServiceAddon & HandoffAddon;
  native.nameProcess("hipd-carry");
  // Its unit says with which nice value it starts; its session follows.
  setNice(getPriority());
  // It gets everything open.
  native.dropPrivileges([]);
  const listener = native.listenAt(socket);
  const service = serviceManager(process.env, native.notify);
  service.notify("READY", "waits for hipd to restart");
  const end = carry({ native, log, network: ownNetwork(), now: () => performance.now() }, listener, socket);
  return end === "abandoned" ? EXIT.failed : EXIT.ok;
}
