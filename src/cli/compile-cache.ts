/** Compiled code is kept beside the built files: both programs start in half the time. Whoever may write there may change the code anyway. */
import { enableCompileCache } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Must be called before anything large is imported. A folder that cannot be written is no error. */
export function useCompileCache(): void {
  const here = dirname(fileURLToPath(import.meta.url));
  enableCompileCache(join(here, "../../.compile-cache"));
}
