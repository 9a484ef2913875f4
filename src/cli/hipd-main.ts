/** What bin/hipd runs. */
import { resumeFirst } from "../runtime/early.ts";
import type { NetworkSystem } from "../runtime/network-port.ts";
import { keepSession } from "../runtime/priority.ts";
import { useCompileCache } from "./compile-cache.ts";

useCompileCache();
keepSession();
if (process.argv[2] === "--carry") {
  const { carrierMain } = await import("./carry.ts");
  process.exit(await carrierMain(process.argv.slice(3)));
}
// Before anything else: packets wait meanwhile.
const early = await resumeFirst(process.env);
const inherit =
  early === undefined
    ? undefined
    : (await import("../runtime/inherit.ts")).inherit.bind(undefined, early, process.env);
const { main } = await import("./hipd.ts");
const load = async (): Promise<NetworkSystem> => {
  const { NATIVE_NETWORK } = await import("../runtime/network.ts");
  const { withPeerRoutes } = await import("../runtime/peer-routes.ts");
  return withPeerRoutes(NATIVE_NETWORK);
};
process.exitCode = await main(process.argv.slice(2), load, inherit);
process.exit();
