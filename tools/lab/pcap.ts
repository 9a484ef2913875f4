/** Reads a capture as tcpdump writes it to a pipe: the classic format, either byte order. */

export interface Frame {
  /** Microseconds since 1970. */
  readonly time: number;
  /** The link type of the capture (LINKTYPE_*). */
  readonly link: number;
  readonly bytes: Uint8Array;
  /** Length on the wire; more than `bytes.length` when cut. */
  readonly length: number;
}

const FILE_HEADER = 24;
const RECORD_HEADER = 16;

export class PcapReader {
  #rest = new Uint8Array(0);
  #header: { little: boolean; nano: boolean; link: number } | undefined;

  /** Takes the next bytes of the file; gives the frames that are complete with them. */
  push(bytes: Uint8Array): Frame[] {
    const data = new Uint8Array(this.#rest.length + bytes.length);
    data.set(this.#rest);
    data.set(bytes, this.#rest.length);
    const view = new DataView(data.buffer);
    const frames: Frame[] = [];
    let at = 0;
    if (this.#header === undefined) {
      if (data.length < FILE_HEADER) {
        this.#rest = data;
        return frames;
      }
      this.#header = fileHeader(view);
      at = FILE_HEADER;
    }
    const { little, nano, link } = this.#header;
    while (data.length - at >= RECORD_HEADER) {
      const captured = view.getUint32(at + 8, little);
      if (data.length - at - RECORD_HEADER < captured) break;
      const fraction = view.getUint32(at + 4, little);
      frames.push({
        time: view.getUint32(at, little) * 1e6 + (nano ? fraction / 1000 : fraction),
        link,
        bytes: data.slice(at + RECORD_HEADER, at + RECORD_HEADER + captured),
        length: view.getUint32(at + 12, little),
      });
      at += RECORD_HEADER + captured;
    }
    this.#rest = data.slice(at);
    return frames;
  }
}

function fileHeader(view: DataView): { little: boolean; nano: boolean; link: number } {
  for (const little of [true, false]) {
    const magic = view.getUint32(0, little);
    if (magic === 0xa1b2c3d4 || magic === 0xa1b23c4d) {
      return { little, nano: magic === 0xa1b23c4d, link: view.getUint32(20, little) & 0xffff };
    }
  }
  throw new Error("this is not a capture in the classic pcap format");
}
