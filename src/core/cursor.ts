/** Cursors over bytes, in network byte order. A reader never throws: past the end it reads zeros and remembers it. */

export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #overrun = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  get offset(): number {
    return this.#at;
  }

  /** True once anything was read past the end; every value read since is meaningless. */
  get overrun(): boolean {
    return this.#overrun;
  }

  u8(): number {
    return this.#number(1);
  }

  u16(): number {
    return this.#number(2);
  }

  u32(): number {
    return this.#number(4);
  }

  u64(): bigint {
    const high = this.#number(4);
    return (BigInt(high) << 32n) | BigInt(this.#number(4));
  }

  /** A view, not a copy. */
  take(length: number): Uint8Array {
    if (length > this.remaining) {
      this.#overrun = true;
      this.#at = this.#bytes.length;
      return new Uint8Array(0);
    }
    const part = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return part;
  }

  rest(): Uint8Array {
    return this.take(this.remaining);
  }

  #number(width: number): number {
    const start = this.#at;
    const end = start + width;
    if (end > this.#bytes.length) {
      this.take(width);
      return 0;
    }
    this.#at = end;
    let value = 0;
    for (let at = start; at < end; at++) value = value * 256 + (this.#bytes[at] as number);
    return value;
  }
}

export class Writer {
  #bytes = new Uint8Array(64);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    return this.#number(value, 1);
  }

  u16(value: number): this {
    return this.#number(value, 2);
  }

  u32(value: number): this {
    return this.#number(value, 4);
  }

  u64(value: bigint): this {
    return this.#number(Number(value >> 32n), 4).#number(Number(value & 0xffff_ffffn), 4);
  }

  bytes(value: Uint8Array): this {
    this.#grow(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  zeros(count: number): this {
    this.#grow(count);
    this.#bytes.fill(0, this.#length, this.#length + count);
    this.#length += count;
    return this;
  }

  done(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #number(value: number, width: number): this {
    this.#grow(width);
    let rest = value;
    for (let i = width - 1; i >= 0; i--) {
      this.#bytes[this.#length + i] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    this.#length += width;
    return this;
  }

  #grow(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
