import type { Hit, Result } from "../core/types.ts";
import type { HitSuiteId } from "./suites.ts";
export type KeyKind = "ecdsa-p256" | "ecdsa-p384" | "rsa-2048" | "rsa-3072" | "rsa-4096" | "ed25519";
export class Identity {
  readonly hit!: Hit;
  readonly algorithm!: number;
  readonly hostIdentity!: Uint8Array;
  readonly suite!: HitSuiteId;
  readonly kind!: KeyKind;
  sign(_bytes: Uint8Array): Uint8Array {
    throw new Error("not written yet");
  }
  static generate(_kind: KeyKind): Identity {
    throw new Error("not written yet");
  }
  static fromPrivateKey(_key: string | Uint8Array): Result<Identity, string> {
    throw new Error("not written yet");
  }
  toPkcs8Pem(): string {
    throw new Error("not written yet");
  }
  publicOnly(): PublicIdentity {
    throw new Error("not written yet");
  }
}
export class PublicIdentity {
  readonly hit!: Hit;
  readonly algorithm!: number;
  readonly hostIdentity!: Uint8Array;
  verify(_bytes: Uint8Array, _algorithm: number, _signature: Uint8Array): boolean {
    throw new Error("not written yet");
  }
  static from(_algorithm: number, _hostIdentity: Uint8Array): Result<PublicIdentity, string> {
    throw new Error("not written yet");
  }
}
