/** A .tar.gz of texts, each of a bounded size. */
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { pack } from "tar-stream";

/** Of one file, and of all together. */
export const MAX_FILE_BYTES = 4 * 1024 * 1024;
export const MAX_TOTAL_BYTES = 48 * 1024 * 1024;

export interface Entry {
  readonly name: string;
  readonly text: string;
  /** Which end of a text that is too long is worth more. */
  readonly keep: "head" | "tail";
}

export interface Packed {
  readonly name: string;
  readonly bytes: number;
  readonly truncated: boolean;
}

export class Archive {
  readonly #tar = pack();
  readonly #chunks: Buffer[] = [];
  readonly #packed: Packed[] = [];
  readonly #ended: Promise<void>;
  readonly #root: string;
  readonly #modified: Date;
  #total = 0;

  /** Everything stands in one folder. */
  constructor(root: string, modified: Date) {
    this.#root = root;
    this.#modified = modified;
    this.#tar.on("data", (chunk: Buffer) => this.#chunks.push(chunk));
    this.#ended = new Promise((resolve, reject) => {
      this.#tar.on("end", resolve);
      this.#tar.on("error", reject);
    });
  }

  get packed(): readonly Packed[] {
    return this.#packed;
  }

  /** False: the archive is full. */
  async add({ name, text, keep }: Entry): Promise<boolean> {
    const whole = Buffer.from(text);
    const room = Math.min(MAX_FILE_BYTES, MAX_TOTAL_BYTES - this.#total);
    if (room <= 0) return false;
    const truncated = whole.length > room;
    const bytes = truncated ? cut(whole, room, keep) : whole;
    this.#total += bytes.length;
    this.#packed.push({ name, bytes: bytes.length, truncated });
    await new Promise<void>((resolve, reject) => {
      const header = { name: `${this.#root}/${name}`, mode: 0o600, mtime: this.#modified };
      this.#tar.entry(header, bytes, (error) => (error ? reject(error) : resolve()));
    });
    return true;
  }

  async finish(): Promise<Uint8Array> {
    this.#tar.finalize();
    await this.#ended;
    return promisify(gzip)(Buffer.concat(this.#chunks));
  }
}

/** Whole lines, with a line that says so. */
function cut(bytes: Buffer, room: number, keep: Entry["keep"]): Buffer {
  const note = Buffer.from(`[... cut: the whole had ${bytes.length} bytes ...]\n`);
  const size = Math.max(0, room - note.length);
  if (keep === "head") {
    const end = bytes.lastIndexOf(0x0a, size - 1) + 1;
    return Buffer.concat([bytes.subarray(0, end === 0 ? size : end), note]);
  }
  const from = bytes.indexOf(0x0a, bytes.length - size) + 1;
  return Buffer.concat([note, bytes.subarray(from === 0 ? bytes.length - size : from)]);
}
