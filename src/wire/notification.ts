/** Notify Message Types: 0 to 16383 are errors, the rest is status (RFC 7401 5.2.19). */

export const NOTIFY = {
  /** Data: the two bytes of the parameter type. */
  UNSUPPORTED_CRITICAL_PARAMETER_TYPE: 1,
  INVALID_SYNTAX: 7,
  NO_DH_PROPOSAL_CHOSEN: 14,
  INVALID_DH_CHOSEN: 15,
  NO_HIP_PROPOSAL_CHOSEN: 16,
  INVALID_HIP_CIPHER_CHOSEN: 17,
  /** RFC 7402 5.1.3. */
  NO_ESP_PROPOSAL_CHOSEN: 18,
  INVALID_ESP_TRANSFORM_CHOSEN: 19,
  UNSUPPORTED_HIT_SUITE: 20,
  AUTHENTICATION_FAILED: 24,
  CHECKSUM_FAILED: 26,
  HIP_MAC_FAILED: 28,
  ENCRYPTION_FAILED: 32,
  INVALID_HIT: 40,
  BLOCKED_BY_POLICY: 42,
  RESPONDER_BUSY_PLEASE_RETRY: 44,
  /** RFC 8046 5.3. Data: the locators. */
  LOCATOR_TYPE_UNSUPPORTED: 46,
  /** RFC 8002 5. */
  CREDENTIALS_REQUIRED: 48,
  INVALID_CERTIFICATE: 50,
  /** RFC 9028 5.10. Data: the HIP header of the rejected packet. */
  NO_VALID_NAT_TRAVERSAL_MODE_PARAMETER: 60,
  CONNECTIVITY_CHECKS_FAILED: 61,
  MESSAGE_NOT_RELAYED: 62,
  SERVER_REFLEXIVE_CANDIDATE_ALLOCATION_FAILED: 63,
  RVS_HMAC_PROHIBITED_WITH_RELAY: 64,
  /** Private: another host with the receiver's identity keeps, or asks for, the association. Data: its address as text. */
  HIPD_DUPLICATE_IDENTITY: 9_401,
  I2_ACKNOWLEDGEMENT: 16384,
  /** RFC 9028 5.3. */
  NAT_KEEPALIVE: 16385,
} as const;

export type NotifyName = keyof typeof NOTIFY;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(NOTIFY).map(([name, value]) => [value, name]),
);

const FIRST_STATUS = 16384;

/** `HIP_MAC_FAILED`, or `notification 77` for a number that has no name here. */
export function notifyName(messageType: number): string {
  return NAMES.get(messageType) ?? `notification ${messageType}`;
}

/** Whether it reports an error, known or not. */
export function isNotifyError(messageType: number): boolean {
  return messageType < FIRST_STATUS;
}
