/** Takes inventories in: reads and judges them, and writes peers.d as a whole or not at all. */
import { mkdirSync, renameSync, unlinkSync } from "node:fs";
import { err, ok, type Result } from "../../core/types.ts";
import { exists, readUnlinked, syncDirectory, whyNot, writeAtomically, writeBeside } from "../files.ts";
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

/** Files that are written at the same time: the disk takes them together. */
const AT_ONCE = 32;

interface Placed {
  readonly step: Step;
  /** Beside its place, with its content; undefined for a removal. */
  readonly temporary: string | undefined;
}

/**
 * Carries all steps out: first every new file beside its place, then all of them into place. When something fails, what was done is
 * undone.
 */
export async function applySteps(directory: string, steps: readonly Step[]): Promise<Result<Undo, string>> {
  const done: (() => void)[] = [];
  const undo: Undo = () => done.reverse().flatMap(failing);
  const temporaries: string[] = [];
  try {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    const placed: Placed[] = [];
    for (let at = 0; at < steps.length; at += AT_ONCE) {
      const some = steps.slice(at, at + AT_ONCE);
      // All of them end before one's failure counts: nothing may appear after the undoing.
      for (const each of await Promise.allSettled(some.map((step) => prepared(step, temporaries)))) {
        if (each.status === "rejected") throw each.reason;
        placed.push(each.value);
      }
    }
    for (const { step, temporary } of placed) {
      let before: Buffer | undefined;
      if (exists(step.file)) attempt(step, () => (before = readUnlinked(step.file)));
      attempt(step, () =>
        temporary === undefined ? unlinkSync(step.file) : renameSync(temporary, step.file),
      );
      done.push(() =>
        before === undefined ? unlinkSync(step.file) : writeAtomically(step.file, before, 0o644),
      );
    }
    syncDirectory(directory);
    return ok(undo);
  } catch (error) {
    for (const file of temporaries.filter(exists)) failing(() => unlinkSync(file));
    return err([(error as Error).message, ...undo()].join("\n"));
  }
}

async function prepared(step: Step, temporaries: string[]): Promise<Placed> {
  if (step.kind === "remove") return { step, temporary: undefined };
  try {
    const temporary = await writeBeside(step.file, step.text, 0o644);
    temporaries.push(temporary);
    return { step, temporary };
  } catch (error) {
    throw new Error(`${step.file}: cannot be written: ${whyNot(error)}`);
  }
}

function attempt(step: Step, action: () => void): void {
  try {
    action();
  } catch (error) {
    const what = step.kind === "write" ? "written" : "removed";
    throw new Error(`${step.file}: cannot be ${what}: ${whyNot(error)}`);
  }
}

function failing(action: () => void): readonly string[] {
  try {
    action();
    return [];
  } catch (error) {
    return [`could not be undone: ${whyNot(error)}`];
  }
}
