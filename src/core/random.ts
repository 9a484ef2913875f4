/** The only way that the pure layers get randomness: handed in by whoever drives them. */
export interface Random {
  /** `n` unpredictable bytes. */
  bytes(n: number): Uint8Array;
  /** An unpredictable unsigned 32-bit number. */
  u32(): number;
}

/** A number in [0, 1), for jitter. */
export function fraction(random: Random): number {
  return random.u32() / 0x1_0000_0000;
}
