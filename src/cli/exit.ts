/** Exit statuses of hipd and hipctl: docs/EXIT-STATUS.md. */
import type { ClientErrorCode } from "../runtime/control-client.ts";

export const EXIT = {
  ok: 0,
  /** It was tried and did not work. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The configuration is wrong. */
  config: 3,
  /** Permission is lacking, or a private key is not private. */
  permission: 4,
  /** hipd does not answer. */
  unreachable: 5,
  /** There is no such peer, association or identity; or there is one already. */
  name: 6,
  /** It took too long. */
  timeout: 7,
} as const;

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

const BY_CODE: Readonly<Record<ClientErrorCode, ExitStatus>> = {
  unreachable: EXIT.unreachable,
  not_found: EXIT.name,
  exists: EXIT.name,
  invalid: EXIT.usage,
  failed: EXIT.failed,
  timeout: EXIT.timeout,
  denied: EXIT.permission,
  config: EXIT.config,
  cancelled: EXIT.ok,
};

export function exitOf(code: ClientErrorCode): ExitStatus {
  return BY_CODE[code];
}
