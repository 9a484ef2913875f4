/** What bin/hipd runs. */
import { useCompileCache } from "./compile-cache.ts";

useCompileCache();
const { main } = await import("./hipd.ts");
process.exitCode = await main(process.argv.slice(2), async () => {
  const { NATIVE_NETWORK } = await import("../runtime/network.ts");
  const { withPeerRoutes } = await import("../runtime/peer-routes.ts");
  return withPeerRoutes(NATIVE_NETWORK);
});
process.exit();
