/** Takes inventories in: reads and judges them, and writes peers.d as a whole or not at all. */
import { mkdirSync, readFileSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { err, ok, type Result } from "../../core/types.ts";
import { exists, syncDirectory, whyNot, writeAtomically } from "../files.ts";
import { readInventory } from "./document.ts";
import { digestOf, type Memory, replayed } from "./memory.ts";
import type { Admitted, Step } from "./plan.ts";
import { type Trust, voucherOf } from "./trust.ts";

/** An inventory may be made so much ahead of this host's clock, in milliseconds. */
const CLOCK_TOLERANCE = 5 * 60_000;

export interface Refused {
  /** `untrusted`: the file is in order, and nobody whom this host trusts has signed it. */
  readonly kind: "bad" | "untrusted";
  readonly problems: readonly string[];
}

/** Whether this file may be imported now. */
export function admit(
  file: string,
  text: string,
  trust: Trust,
  memory: Memory,
  now: number,
): Result<Admitted, Refused> {
  const bad = (...problems: readonly string[]): Result<Admitted, Refused> =>
    err({ kind: "bad", problems: problems.map((problem) => `${file}: ${problem}`) });
  const read = readInventory(text);
  if (!read.ok) return bad(...read.error);
  const inventory = read.value;
  const voucher = voucherOf(inventory, trust);
  if (!voucher.ok) return err({ kind: "untrusted", problems: [`${file}: ${voucher.error}`] });
  const { created, expires } = inventory;
  if (created > now + CLOCK_TOLERANCE)
    return bad(`it was made at ${iso(created)}, and here it is ${iso(now)}; check both clocks`);
  if (expires !== undefined && expires <= now) return bad(`it expired at ${iso(expires)}`);
  const digest = digestOf(text);
  const old = replayed(memory, voucher.value.signer, created, digest);
  if (old !== undefined) return bad(old);
  return ok({ file, inventory, voucher: voucher.value, imported: { created, digest } });
}

function iso(millis: number): string {
  return new Date(millis).toISOString();
}

/** Puts back what the steps have changed; gives what could not be put back. */
export type Undo = () => readonly string[];

/** Carries all steps out; when one fails, those before it are undone. */
export function applySteps(directory: string, steps: readonly Step[]): Result<Undo, string> {
  const done: (() => void)[] = [];
  const undo: Undo = () => done.reverse().flatMap(failing);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    for (const step of steps) {
      const before = exists(step.file) ? readFileSync(step.file) : undefined;
      done.push(() => (before === undefined ? unlinkSync(step.file) : put(step.file, before)));
      try {
        if (step.kind === "write") put(step.file, step.text);
        else {
          unlinkSync(step.file);
          syncDirectory(dirname(step.file));
        }
      } catch (error) {
        done.pop();
        throw new Error(
          `${step.file}: cannot be ${step.kind === "write" ? "written" : "removed"}: ${whyNot(error)}`,
        );
      }
    }
    return ok(undo);
  } catch (error) {
    return err([(error as Error).message, ...undo()].join("\n"));
  }
}

function put(file: string, content: string | Uint8Array): void {
  writeAtomically(file, content, 0o644);
}

function failing(action: () => void): readonly string[] {
  try {
    action();
    return [];
  } catch (error) {
    return [`could not be undone: ${whyNot(error)}`];
  }
}
