/** The interface hip0, its addresses and routes, and the native data plane behind it. */
import { err } from "../core/types.ts";
import type { NetworkError, NetworkSystem } from "./network-port.ts";

const MISSING: NetworkError = { kind: "failed", message: "this build has no native data plane" };

export const NATIVE_NETWORK: NetworkSystem = {
  open: () => err(MISSING),
  guard: () => err(MISSING),
  teardown: () => err(MISSING),
};
