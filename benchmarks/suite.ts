/** What a benchmark is made of. A suite measures the contestants that it is given; new suites and contestants are entries in lists. */
import type { Lab } from "../tools/lab/lab.ts";
import type { Contestant } from "./contestants/contestant.ts";
import type { Summary } from "./stats.ts";

export interface Options {
  readonly rounds: number;
  /** False: only the variants that matter most, since all suites run. */
  readonly thorough: boolean;
  /** How long one contestant is measured in one round. */
  readonly seconds: number;
}

/** What every suite gets. */
export interface Bench {
  readonly lab: Lab;
  readonly options: Options;
  /** Chosen and installed; each suite takes those that it can measure. */
  readonly contestants: readonly Contestant[];
  /** Which targets are measured, by name; all when absent. */
  readonly wants?: (target: string) => boolean;
  /** Is told when something was measured. */
  tell(line: string): void;
}

/** One measured value of one contestant, over all rounds. */
export interface Row {
  readonly contestant: string;
  readonly what: string;
  readonly summary: Summary;
  /** Paired ratios to other rows of the table, by their names. */
  readonly ratios: Readonly<Record<string, number>>;
  /** Further numbers, by name with unit. */
  readonly extra: Readonly<Record<string, number>>;
  /** Values over time of the round in the middle: x in seconds. */
  readonly series?: readonly (readonly [x: number, y: number])[];
  /** All single values, such as round trips, for a plot of their distribution. */
  readonly distribution?: readonly number[];
}

export interface Table {
  readonly suite: string;
  /** Tells tables of one suite apart, in JSON and for floors: "1500-ipv4-1". */
  readonly id?: string;
  readonly title: string;
  readonly unit: string;
  /** "higher" unless said otherwise. */
  readonly better?: "higher" | "lower";
  readonly rows: readonly Row[];
  readonly notes: readonly string[];
}

export interface Suite {
  readonly name: string;
  readonly what: string;
  run(bench: Bench): Promise<readonly Table[]>;
}
