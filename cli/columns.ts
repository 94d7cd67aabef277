/** Lays text out in columns. Pure. */

export interface Column<T> {
  title: string;
  of(row: T): string;
  /** Numbers stand on the right. */
  right?: true;
}

/** A title, then a line for each row. The last column is never padded. `width` cuts lines off. */
export function renderColumns<T>(columns: readonly Column<T>[], rows: readonly T[], width = Infinity): string[] {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ of }) => oneLine(of(row))))];
  const widths = columns.map((_, index) => cells.reduce((most, line) => Math.max(most, line[index]?.length ?? 0), 0));
  return cells.map((line) =>
    line
      .map((cell, index) => {
        if (columns[index]?.right) return cell.padStart(widths[index] ?? 0);
        return index === columns.length - 1 ? cell : cell.padEnd(widths[index] ?? 0);
      })
      .join('  ')
      .trimEnd()
      .slice(0, width),
  );
}

/** Other people write tags: no line break and no terminal sequence in them may shape the table. */
function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ');
}

/** As people say how long ago: `5m`, `3h`, `12d`. */
export function renderSpan(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / 60_000));
  if (minutes < 60) return `${minutes}m`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)}h` : `${Math.floor(minutes / 1440)}d`;
}
