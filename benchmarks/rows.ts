/** From the samples of all lanes to the rows of a table. */
import type { Lane, Rounds } from "./field.ts";
import { pairedRatio, summarize } from "./stats.ts";
import type { Row } from "./suite.ts";

/** `value` is what the row is about; `more` adds the further numbers and plots. */
export function rows<S>(
  rounds: Rounds<S>,
  value: (sample: S) => number,
  more: (lane: Lane, samples: readonly S[]) => Pick<Row, "extra"> & Partial<Row> = () => ({ extra: {} }),
): Row[] {
  const values = new Map([...rounds.samples].map(([lane, samples]) => [lane, samples.map(value)]));
  return [...rounds.samples].map(([lane, samples]) => {
    const own = values.get(lane) ?? [];
    const ratios: Record<string, number> = {};
    for (const [other, theirs] of values) ratios[other.name] = pairedRatio(own, theirs);
    return {
      contestant: lane.name,
      what: lane.what,
      summary: summarize(own),
      ratios,
      ...more(lane, samples),
    };
  });
}

/** The sample whose value is the median one (of an even number, the upper of the two). */
export function middle<S>(samples: readonly S[], value: (sample: S) => number): S | undefined {
  return [...samples].sort((a, b) => value(a) - value(b))[samples.length >> 1];
}
