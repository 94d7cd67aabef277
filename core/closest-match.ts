/** Finds the known word that an unknown word was probably meant to be. */

/** Undefined when no known word is close to `word`. */
export function closestMatch(word: string, known: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  const same = known.find((name) => name.toLowerCase() === lower);
  if (same !== undefined) return same;
  // One slip in a short word, two in a long one. More would turn "stay" into "status".
  const limit = lower.length < 5 ? 1 : 2;
  const ranked = known
    .map((name) => ({ name, edits: editsBetween(lower, name.toLowerCase()) }))
    .filter(({ edits }) => edits <= limit)
    .toSorted((a, b) => a.edits - b.edits);
  const [best] = ranked;
  if (best !== undefined) return best.name;
  return known.find((name) => lower.length >= 3 && name.toLowerCase().startsWith(lower));
}

/**
 * Counts insertions, deletions, substitutions and swaps of neighbours. A word longer than this is
 * not a typing error.
 */
const longest = 64;

function editsBetween(a: string, b: string): number {
  if (a.length > longest || b.length > longest) return longest;
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let edits = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + cost);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) edits = Math.min(edits, rows[i - 2]![j - 2]! + 1);
      row.push(edits);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
