// Empties Node.js's data for languages other than English: 23 MB, and 6 of 26 MB of the download.
//
// Only `Intl` and functions like `toLocaleString` read them. A Node.js that is built with
// `--with-intl=small-icu` lacks the same data, and then uses neutral forms. The character sets
// stay, because user data may name one.
//
// ICU keeps its data as one package: a header, a table of names and offsets, and the items. A
// removed item leaves the table, and its bytes become zeros. No other byte moves.

/** The header of a package of ICU (`UDataInfo` in its unicode/udata.h). */
const format = Buffer.from('CmnD');
const formatAt = 12;
const magic = 0x27da;

interface Item {
  name: string;
  /** Offsets from the start of the table. */
  nameAt: number;
  dataAt: number;
}

/**
 * Returns a copy of the same length. Throws if the executable does not hold exactly one package, in
 * the layout that is known.
 */
export function dropLanguages(executable: Buffer): Buffer {
  const file = Buffer.from(executable);
  const table = findTable(file);
  const items = readItems(file, table);
  for (const [index, { name, dataAt }] of items.entries()) {
    // The end of the last item is not known, so its bytes stay.
    const end = items[index + 1]?.dataAt ?? dataAt;
    if (isOfLanguage(name)) file.fill(0, table + dataAt, table + end);
  }
  const kept = items.filter(({ name }) => !isOfLanguage(name));
  const entries = Uint32Array.from(kept.flatMap(({ nameAt, dataAt }) => [nameAt, dataAt]));
  file.writeUInt32LE(kept.length, table);
  file.fill(0, table + 4, table + 4 + items.length * 8);
  for (const [index, value] of entries.entries()) file.writeUInt32LE(value, table + 4 + index * 4);
  return file;
}

function findTable(file: Buffer): number {
  const tables: number[] = [];
  for (let at = file.indexOf(format); at >= 0; at = file.indexOf(format, at + 1)) {
    const header = at - formatAt;
    if (header >= 0 && file.readUInt16LE(header + 2) === magic) tables.push(header + file.readUInt16LE(header));
  }
  if (tables.length !== 1) throw new Error(`Node.js holds ${tables.length} packages of ICU data, not one`);
  return tables[0]!;
}

function readItems(file: Buffer, table: number): Item[] {
  const items = Array.from({ length: file.readUInt32LE(table) }, (_, index): Item => {
    const [nameAt, dataAt] = [file.readUInt32LE(table + 4 + index * 8), file.readUInt32LE(table + 8 + index * 8)];
    const start = table + nameAt;
    return { name: file.toString('latin1', start, file.indexOf(0, start)), nameAt, dataAt };
  });
  const isKnown = items.every(
    ({ name, dataAt }, index) => /^icudt\d+l\//.test(name) && (index === 0 || items[index - 1]!.dataAt < dataAt),
  );
  if (!isKnown) throw new Error('the ICU data of Node.js have an unknown layout');
  return items;
}

/**
 * True for `icudt78l/zh_Hant.res` and `icudt78l/curr/de.res`, for transliterations, and for the
 * dictionaries that divide texts without spaces into words.
 */
function isOfLanguage(name: string): boolean {
  const [, ...path] = name.split('/');
  const file = path.at(-1)!;
  if (path[0] === 'translit' || file.endsWith('.dict')) return true;
  const language = /^([a-z]{2,3})(_\w*)?\.res$/.exec(file)?.[1];
  return language !== undefined && language !== 'en' && file !== 'res_index.res';
}
