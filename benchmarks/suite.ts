/** What a benchmark is made of. A suite measures its contestants; new suites and contestants are entries in lists. */
import type { Daemon } from "../tools/lab/daemon.ts";
import type { Lab, Namespace } from "../tools/lab/lab.ts";
import type { Summary } from "./stats.ts";

export interface Options {
  readonly rounds: number;
  /** How long one contestant is measured in one round. */
  readonly seconds: number;
}

/** Two namespaces and one virtual cable, a daemon in each: what every contestant runs on. */
export interface Network {
  readonly lab: Lab;
  readonly client: Namespace;
  readonly server: Namespace;
  readonly serverAddress: string;
  readonly daemons: { readonly client: Daemon; readonly server: Daemon };
}

/** One measured value of one contestant, over all rounds. */
export interface Row {
  readonly contestant: string;
  readonly what: string;
  readonly summary: Summary;
  /** Paired ratios to other contestants, by their names. */
  readonly ratios: Readonly<Record<string, number>>;
  /** Further numbers, by name with unit. */
  readonly extra: Readonly<Record<string, number>>;
}

export interface Table {
  readonly suite: string;
  readonly title: string;
  readonly unit: string;
  readonly rows: readonly Row[];
  readonly notes: readonly string[];
}

export interface Suite {
  readonly name: string;
  readonly what: string;
  /** `tell` gets a line when something was measured. */
  run(network: Network, options: Options, tell: (line: string) => void): Promise<Table>;
}
