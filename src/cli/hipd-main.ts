/** What bin/hipd runs. */
import { main } from "./hipd.ts";

process.exitCode = await main(process.argv.slice(2), async (log) => {
  const { nativeNetwork } = await import("../runtime/native-network.ts");
  return nativeNetwork(log);
});
process.exit();
