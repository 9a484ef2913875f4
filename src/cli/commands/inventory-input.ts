/** Inventories as files, or from standard input. */
import { readFileSync, statSync } from "node:fs";
import { whyNot } from "../../runtime/files.ts";
import {
  MAX_INVENTORY_BYTES,
  readInventory,
  type SignedInventory,
} from "../../runtime/inventory/document.ts";
import { CommandFailure } from "../context.ts";
import { EXIT } from "../exit.ts";
import type { Io } from "../output.ts";

/** The text of an inventory; `-` is standard input. */
export async function inventoryFile(file: string, io: Io): Promise<string> {
  let bytes: Uint8Array;
  try {
    if (file !== "-" && statSync(file).size > MAX_INVENTORY_BYTES)
      throw new Error(`it is longer than ${MAX_INVENTORY_BYTES} bytes`);
    bytes = file === "-" ? await io.input() : readFileSync(file);
  } catch (error) {
    throw new CommandFailure(EXIT.failed, `${file}: cannot be read: ${whyNot(error)}`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new CommandFailure(EXIT.failed, `${file}: is not UTF-8 text`);
  }
}

/** An inventory whose signatures are right, whoever made them. */
export async function readInventoryFile(file: string, io: Io): Promise<SignedInventory> {
  const read = readInventory(await inventoryFile(file, io));
  if (read.ok) return read.value;
  throw new CommandFailure(EXIT.failed, read.error.map((problem) => `${file}: ${problem}`).join("\n"));
}
