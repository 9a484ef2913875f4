/** "Did you mean": the known word that is closest to a mistyped one. */

/** The closest of `known` within a third of the word's length (at least 2 edits), or undefined. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const limit = Math.max(2, Math.floor(word.length / 3));
  let best: string | undefined;
  let distance = limit + 1;
  for (const candidate of known) {
    const edits = editDistance(word.toLowerCase(), candidate.toLowerCase(), distance);
    if (edits < distance) {
      best = candidate;
      distance = edits;
    }
  }
  return best;
}

/** `; did you mean "x"?` or, when nothing is close, the list of what is known. */
export function didYouMean(word: string, known: readonly string[]): string {
  const close = nearest(word, known);
  if (close !== undefined) return `; did you mean "${close}"?`;
  return known.length > 0 && known.length <= 20 ? `; known: ${known.join(", ")}` : "";
}

/** Damerau-Levenshtein distance with adjacent transpositions; anything at or above `limit` gives `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let edits = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + cost,
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, (beforeLast[j - 2] as number) + 1);
      }
      row.push(edits);
    }
    beforeLast = last;
    last = row;
  }
  return Math.min(last[b.length] as number, limit);
}
