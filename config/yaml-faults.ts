/**
 * Faults of a YAML text in words: the line, the column where it helps, and the fix. The library's
 * own messages are about its grammar, and may quote a piece of the text, which may be secret.
 */

import { isScalar, visit, type Document, type LineCounter, type Node } from 'yaml';
import type { Fault } from '../core/errors.ts';

interface Found {
  code: string;
  message: string;
  line: number;
  column: number;
  offset: number;
  /** The line in which the faulty part ends. */
  endLine: number;
}

/** The first fault of each line: the others are its consequences. */
export function faultsOfYaml(document: Document.Parsed, text: string, source: string, lines: LineCounter): Fault[] {
  const found = [...document.errors, ...document.warnings].map(({ code, message, pos: [start, end] }): Found => {
    const { line, col: column } = lines.linePos(start);
    return { code, message, line, column, offset: start, endLine: lines.linePos(end).line };
  });
  const written = text.split('\n');
  const faults = new Map<number, Fault>();
  for (const each of found) {
    const overLines = found.find((other) => isSequel(each, other));
    if (found.some((other) => isSequel(other, each))) continue;
    const { line, problem } = describe(each, overLines, document, lines);
    const path = `${source}:${line}`;
    const text = written[line - 1] ?? '';
    if (!faults.has(line)) faults.set(line, { path, problem: placeholder(text) ?? unusualBlank(text) ?? problem });
  }
  return [...faults.values()];
}

/** A second colon makes the library read a value over several lines as the name of a setting. */
function isSequel(fault: Found, other: Found): boolean {
  const isSamePlace = other.line === fault.line && other.column === fault.column;
  return fault.code === 'BLOCK_AS_IMPLICIT_KEY' && other.code === 'MULTILINE_IMPLICIT_KEY' && isSamePlace;
}

/** Behind such a fault, the parser cannot tell what is a setting. */
const more = '; further faults may follow';

const noColon = 'no colon and blank stand behind the name; write NAME: VALUE';

function describe(
  { code, message, line, column, offset }: Found,
  overLines: Found | undefined,
  document: Document.Parsed,
  lines: LineCounter,
): { line: number; problem: string } {
  const here = (problem: string) => ({ line, problem: `not YAML: ${problem}` });
  switch (code) {
    case 'DUPLICATE_KEY':
      return { line, problem: `the same setting twice in one section${earlierOf(document, offset, lines)}${more}` };
    case 'BLOCK_AS_IMPLICIT_KEY':
      if (overLines === undefined)
        return here(`column ${column}: a second colon with a blank in one line; put quotes around the value`);
      return {
        line: overLines.endLine,
        problem: `not YAML: the line is indented more than line ${line}, which has a value already; remove the extra blanks`,
      };
    case 'MULTILINE_IMPLICIT_KEY':
      return here(noColon);
    case 'MISSING_CHAR': {
      const [, end] = /must end with an? ([\]}])/.exec(message) ?? [];
      if (end !== undefined) return here(`a bracket is never closed; add ${end}${more}`);
      if (!message.startsWith('Missing closing')) return here(noColon);
      const quote = lastQuote(document);
      const from = quote === undefined ? { line, col: column } : lines.linePos(quote);
      const problem = `not YAML: column ${from.col}: a quote that no other quote closes; close it, or remove it${more}`;
      return { line: from.line, problem };
    }
    case 'TAB_AS_INDENT':
      return here('a tab indents the line; use blanks');
    case 'BAD_INDENT': {
      const [, end] = /end with an? (.)$/.exec(message) ?? [];
      if (end !== undefined) return here(`a bracket above is never closed; add ${end}, or indent the line${more}`);
      return here('the line is indented less than the first line of its section, and more than the section; align it');
    }
    case 'BAD_SCALAR_START':
      return here(`column ${column}: text that begins with ${message.at(-1)} needs quotes`);
    case 'BAD_DQ_ESCAPE':
      return here(`column ${column}: a backslash in double quotes; double it, or use single quotes`);
    case 'UNEXPECTED_TOKEN':
      return here(`column ${column}: text behind the end of a value; put all of the value into one pair of quotes`);
    case 'MULTIPLE_DOCS':
      return here('multiple documents; remove the line ---');
    default:
      return here(withoutText(message));
  }
}

/** YAML reads a leading placeholder as a section. These two settings hold no password. */
function placeholder(line: string): string | undefined {
  const [, key, value] = /^\s*(name|hostname):\s*(\{[^"#]*?)\s*(?:#.*)?$/.exec(line) ?? [];
  return key === undefined ? undefined : `text that begins with { needs quotes; write ${key}: "${value}"`;
}

/** People copy such blanks from web pages. YAML takes them for letters. */
function unusualBlank(line: string): string | undefined {
  const isUnusual = /^[ \t]*[\u00a0\u2007\u202f\u3000]|:[\u00a0\u2007\u202f\u3000]/.test(line);
  return isUnusual ? 'not YAML: a non-breaking blank stands in the line; type a plain blank' : undefined;
}

/** The name of a setting that stands twice, and the line of the first. */
function earlierOf(document: Document.Parsed, offset: number, lines: LineCounter): string {
  let found = '';
  visit(document, {
    Map(_, map) {
      const keys = map.items.map(({ key }) => key).filter((key) => isScalar(key));
      const second = keys.find((key) => key.range?.[0] === offset);
      const first = keys.find((key) => key.value === second?.value);
      if (second === undefined || !first?.range) return undefined;
      const name = /^[A-Za-z]\w{0,63}$/.test(String(second.value)) ? `"${String(second.value)}"` : 'it';
      found = `; ${name} is also in line ${lines.linePos(first.range[0]).line}: remove one of them`;
      return visit.BREAK;
    },
  });
  return found;
}

/** An alias of an anchor that stands nowhere before it. The library tells it without a line. */
export function aliasWithoutAnchor(document: Document.Parsed): Node | undefined {
  const anchors = new Set<string>();
  let found: Node | undefined;
  visit(document, {
    Node(_, node) {
      if ('anchor' in node && typeof node.anchor === 'string') anchors.add(node.anchor);
    },
    Alias(_, alias) {
      if (anchors.has(alias.source)) return undefined;
      found = alias;
      return visit.BREAK;
    },
  });
  return found;
}

/** The offset of the last quoted text. An open quote takes everything behind it. */
function lastQuote(document: Document.Parsed): number | undefined {
  let offset: number | undefined;
  visit(document, (_, node) => {
    if (isScalar(node) && node.type?.startsWith('QUOTE')) offset = node.range?.[0] ?? offset;
  });
  return offset;
}

/** Cuts a message at its colon: the parser quotes the text behind it, which may be a password. */
export function withoutText(message: string): string {
  return message.replace(/: .*$/s, '');
}
