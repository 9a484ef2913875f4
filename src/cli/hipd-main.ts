/** What bin/hipd runs. */
import { main } from "./hipd.ts";

process.exitCode = await main(process.argv.slice(2), async () => {
  const { NATIVE_NETWORK } = await import("../runtime/network.ts");
  return NATIVE_NETWORK;
});
process.exit();
