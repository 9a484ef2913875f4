import { describe, expect, test } from "vitest";
import { MAX_FORGED_I2S, Solutions } from "../../src/hip/solutions.ts";

/** As a HIT and a #J, which nobody can choose for others. */
function solution(n: number): string {
  return `2001002${n.toString(16).padStart(25, "0")}${(n * 0x9e3779b1).toString(16).padStart(96, "0")}`;
}

/** Forges with this solution until it is refused; how often that worked. */
function forge(solutions: Solutions, one: string): number {
  let times = 0;
  for (; solutions.refusal(one) === undefined; times++) solutions.forged(one);
  return times;
}

describe("the solutions of one R1 (RFC 7401 4.1.1)", () => {
  test("are good for a few forged I2s each, and for no more than 32,768 in all", () => {
    const solutions = new Solutions();
    expect(forge(solutions, solution(0))).toBe(MAX_FORGED_I2S);
    expect(solutions.refusal(solution(0))).toBe("solution_forged");
    let bought = MAX_FORGED_I2S;
    for (let n = 1; n < 200_000; n++) bought += forge(solutions, solution(n));
    expect(bought).toBeGreaterThan(30_000);
    expect(bought).toBeLessThanOrEqual(32_768);
    for (let n = 0; n < 200_000; n++) solutions.forged(solution(n));
    expect(solutions.refusal(solution(7))).toBe("solution_forged");
  });

  test("that were forged take no place of good ones", () => {
    const solutions = new Solutions();
    for (let n = 0; n < 4_096; n++) solutions.forged(solution(n));
    const open = Array.from({ length: 1_000 }, (_, n) => solution(1_000_000 + n)).filter(
      (one) => solutions.refusal(one) === undefined,
    );
    expect(open.length).toBeGreaterThan(980);
    for (const one of open) expect(solutions.use(one)).toBe(true);
  });

  test("that were used are bounded, and each counts once", () => {
    const solutions = new Solutions();
    for (let n = 0; n < 4_096; n++) expect(solutions.use(solution(n))).toBe(true);
    expect(solutions.use(solution(5))).toBe(false);
    expect(solutions.refusal(solution(5))).toBe("i2_replayed");
    expect(solutions.refusal(solution(5_000))).toBe("r1_exhausted");
    solutions.release(solution(5));
    expect(solutions.refusal(solution(5))).toBeUndefined();
    expect(solutions.usedSize).toBe(4_095);
  });
});
