/** Archives as tests read them, and what must not be in them. */
import { gunzipSync } from "node:zlib";
import { extract } from "tar-stream";
import { parseIp } from "../../src/core/ip.ts";

export interface Unpacked {
  readonly files: ReadonlyMap<string, string>;
  readonly modes: ReadonlyMap<string, number>;
}

/** Names without the folder that all stand in. */
export async function unpack(archive: Uint8Array): Promise<Unpacked> {
  const files = new Map<string, string>();
  const modes = new Map<string, number>();
  const reader = extract();
  const done = (async () => {
    for await (const entry of reader) {
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      const name = entry.header.name.replace(/^[^/]*\//, "");
      files.set(name, Buffer.concat(chunks).toString("utf8"));
      modes.set(name, entry.header.mode ?? 0);
    }
  })();
  reader.end(gunzipSync(archive));
  await done;
  return { files, modes };
}

/** Everything in a text that is an IPv4 or IPv6 address in any form. */
export function addressesIn(text: string): readonly string[] {
  const four = (text.match(/\d{1,3}(?:\.\d{1,3}){3}/g) ?? []).filter((each) => parseIp(each) !== undefined);
  const six = (text.match(/[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*/g) ?? []).filter(
    (each) => parseIp(each.replace(/[.:]$/, "")) !== undefined || parseIp(each) !== undefined,
  );
  const hits = text.match(/\b2001002[0-9a-f]{25}\b/g) ?? [];
  return [...four, ...six, ...hits];
}
