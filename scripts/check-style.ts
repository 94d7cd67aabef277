// npm run check:style: checks the rules of CONTRIBUTING.md that the linter does not know. They are
// comments within 100 columns, words that make a sentence hard to follow, one sentence a line and
// short table cells in Markdown, links that lead somewhere, folders of a size to take in,
// assertions on patterns that cannot fail, and the subjects of this change's commits.
//
// Prints each fault as FILE:LINE and a message; the exit code is 1 if there is one.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { findDeadLinks } from './style/links.ts';

interface Fault {
  place: string;
  what: string;
}

/** The last commit before these rules. Earlier commits keep their subjects. */
const lastBefore = '70cc242';

const maxColumns = 100;
const maxSubject = 72;
/** A reader cannot take in more files at once: such a folder gets sub-folders by concern. */
const maxFiles = 20;
/** A longer cell does not fit beside others: such a table must become headings and lists. */
const maxCell = 80;

/** Texts by other authors, and texts that a program writes. */
const foreign =
  /^(LICENSE|THIRD_PARTY_LICENSES|package-lock\.json|test\/simulation\/mutants\/README\.md|test\/mutation\/README\.md|test\/unit\/faults\/table\.(md|ts))$|^bench\/results\//;

/** Such a sentence hides its actor, or its verb comes last, so a reader has to start again. */
const riddles = /\b(whoever|whom|who has|who is|what is more)\b/i;
const opener = /^\s*(?:\/\/|\/?\*+|#)\s(?:Of|So long|So much|As many|What|That|Nobody|Else|Who)\s/;

/** Files whose comments begin with `#`. */
const hashed = /\.(sh|py|ya?ml|hcl|tf|conf|service|timer|preset)$/;

/** The title of a test, which a reader of a failure sees first. */
const title = /^\s*(?:describe|test|it|scenario)(?:\.\w+)*\((['"`])(.*)\1/;
const titleRiddles = /^(?:that|whose|of which|what|who)\b|\b(?:whoever|whom|somebody|nobody)\b/i;

/** A capital letter after one of these does not begin a sentence. */
const abbreviation = /(?:\b(?:e\.g|i\.e|vs|etc|cf|No|Inc)|\d|\s[A-Z])[.]$/;

/** Files that git tracks, or would: those that a change deletes are gone. */
const everyFile = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { encoding: 'utf8' })
  .split('\n')
  .filter((file) => file !== '' && existsSync(file));

function faultsOfFolders(): Fault[] {
  const folders = Map.groupBy(everyFile, dirname);
  return [...folders].flatMap(([folder, { length }]) =>
    length > maxFiles ? [{ place: folder, what: `${length} files; at most ${maxFiles} in a folder` }] : [],
  );
}

function faultsOfLinks(): Fault[] {
  const pages = everyFile.filter((file) => file.endsWith('.md'));
  return pages.flatMap((file) => findDeadLinks(file).map(({ line, what }) => ({ place: `${file}:${line}`, what })));
}

function listFiles(): string[] {
  return everyFile.filter((file) => (/\.(ts|md|patch)$/.test(file) || hashed.test(file)) && !foreign.test(file));
}

function isComment(line: string, file: string): boolean {
  return hashed.test(file) ? /^\s*#(?!!)/.test(line) : /^\s*(?:\/\/|\/\*\*?|\*)(?:\s|$)/.test(line);
}

function faultsOfCode(file: string, lines: readonly string[]): Fault[] {
  return lines.flatMap((line, index) => {
    const place = `${file}:${index + 1}`;
    const words = title.exec(line)?.[2];
    if (words !== undefined && titleRiddles.test(words)) return [{ place, what: `name the subject: "${words}"` }];
    if (!isComment(line, file)) return [];
    return [
      ...(line.length > maxColumns && (!hashed.test(file) || file.endsWith('.sh'))
        ? [{ place, what: `comment of ${line.length} columns; at most ${maxColumns}` }]
        : []),
      ...faultsOfWords(line, place),
    ];
  });
}

/** `toMatchObject` takes a pattern for an object without keys, so that any text matches it. */
function faultsOfPatterns(file: string, text: string): Fault[] {
  const calls = [...text.matchAll(/\.toMatchObject\((.*?)\);\n/gs)];
  return calls.flatMap(({ index, 1: expected = '' }) => {
    const withoutTexts = expected.replaceAll(/'(?:[^'\\]|\\.)*'|`[^`]*`/g, "''");
    if (!/[:,[]\s+\/(?![/*])/.test(withoutTexts)) return [];
    const place = `${file}:${text.slice(0, index).split('\n').length}`;
    return [{ place, what: 'a pattern in toMatchObject matches anything; use expect.stringMatching' }];
  });
}

function faultsOfWords(line: string, place: string): Fault[] {
  const riddle = riddles.exec(line)?.[0];
  if (riddle !== undefined) return [{ place, what: `name the actor instead of "${riddle}"` }];
  return opener.test(line) ? [{ place, what: `begin with the subject: ${line.trim().slice(0, 40)}` }] : [];
}

function faultsOfMarkdown(file: string, lines: readonly string[]): Fault[] {
  let fenced = false;
  return lines.flatMap((line, index) => {
    const place = `${file}:${index + 1}`;
    if (/^\s*(```|~~~)/.test(line)) fenced = !fenced;
    if (fenced || /^\s*(```|~~~|<)/.test(line)) return [];
    if (line.startsWith('|')) return faultsOfTable(line, place);
    return [...faultsOfWords(line, place), ...(sentencesOf(line) > 1 ? [{ place, what: 'one sentence a line' }] : [])];
  });
}

function faultsOfTable(line: string, place: string): Fault[] {
  const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
  const long = cells.find((cell) => shown(cell).length > maxCell);
  return long === undefined
    ? []
    : [{ place, what: `table cell of ${shown(long).length} characters; at most ${maxCell}` }];
}

/** A link counts by its text, because a reader sees only the text. */
function shown(cell: string): string {
  return cell.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1');
}

function sentencesOf(line: string): number {
  const prose = shown(line).replaceAll(/`[^`]*`/g, 'x');
  const ends = [...prose.matchAll(/[.!?]["')*_]*\s+(?=["'(*_]*[A-Z])/g)];
  return 1 + ends.filter(({ index }) => !abbreviation.test(prose.slice(0, index + 1))).length;
}

/** Returns undefined in a shallow clone, which does not contain the commit to count from. */
function subjects(): string[] | undefined {
  try {
    const range = `${lastBefore}..HEAD`;
    return execFileSync('git', ['log', '--no-merges', '--format=%h %s', range], { encoding: 'utf8', stdio: 'pipe' })
      .split('\n')
      .filter(Boolean);
  } catch {
    return undefined;
  }
}

function faultsOfSubject(line: string): Fault[] {
  const [hash = '', ...words] = line.split(' ');
  const subject = words.join(' ');
  if (subject.length > maxSubject)
    return [{ place: hash, what: `subject of ${subject.length} characters; at most ${maxSubject}` }];
  return /^[a-z][a-z0-9/ -]*: \S/.test(subject)
    ? []
    : [{ place: hash, what: `"${subject}" is not "area: imperative"` }];
}

const faults = listFiles().flatMap((file) => {
  const text = readFileSync(file, 'utf8');
  const lines = text.split('\n');
  // A patch has one line of ours, its first; the rest is code.
  if (file.endsWith('.patch')) return faultsOfWords(lines[0] ?? '', `${file}:1`);
  if (file.endsWith('.md')) return faultsOfMarkdown(file, lines);
  return [...faultsOfCode(file, lines), ...faultsOfPatterns(file, text)];
});
const listed = subjects();
if (listed === undefined) console.log('NOT CHECKED: commit subjects, because this clone is shallow');
faults.push(...faultsOfFolders(), ...faultsOfLinks(), ...(listed ?? []).flatMap(faultsOfSubject));
for (const { place, what } of faults) console.log(`${place}: ${what}`);
console.log(faults.length === 0 ? 'style: no fault' : `style: ${faults.length} faults`);
process.exitCode = faults.length === 0 ? 0 : 1;
