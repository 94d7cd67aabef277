/**
 * Edits the text of /etc/ecs/ecs.config. Two programs read it: systemd as an EnvironmentFile, and
 * ecs-init line by line.
 */

/**
 * The comment names the keys that this program wrote. When the configuration drops a setting, the
 * next rendering removes it from ecs.config.
 */
const marker = '# ecs-node keeps these up to date from /etc/ecs-node/config.yaml: ';

/**
 * Returns the text with `settings`, each key once, in one block below our comment. Lines and
 * comments of others stay in their order; other lines with our keys are removed. Rendering twice
 * changes nothing more. Values must have no fault (config/ecs-value.ts), as those of a Config.
 */
export function renderEcsConfig(text: string, settings: Readonly<Record<string, string>>): string {
  const entries = parseEntries(text);
  const markers = entries.filter(isMarker);
  // Keep the line end of our own block, so that writing it again changes nothing.
  const eol = /^[^\n]*\r\n/.test(markers[0]?.raw ?? text) ? '\r\n' : '\n';
  const ours = new Set([...Object.keys(settings), ...markers.flatMap(keysOf)]);

  const stays = (entry: Entry) => !isMarker(entry) && (entry.key === undefined || !ours.has(entry.key));
  const firstMarker = entries.findIndex(isMarker);
  // An entry with an open quote never ends, and would swallow our block: put the block before it.
  const end = entries.at(-1)?.open === true && stays(entries.at(-1)!) ? entries.length - 1 : entries.length;
  const at = firstMarker === -1 ? end : firstMarker;

  const kept = entries.map((entry) => (stays(entry) ? endComment(entry.raw) : ''));
  const before = kept.slice(0, at).join('');
  const after = kept.slice(at).join('');
  const keys = Object.keys(settings);
  const lines = keys.length === 0 ? [] : [marker + keys.join(' '), ...keys.map((key) => `${key}=${settings[key]}`)];
  const gap = before === '' || /[\n\r]$/.test(before) ? '' : eol;
  return before + (lines.length === 0 ? '' : gap) + lines.map((line) => line + eol).join('') + after;
}

/**
 * systemd before 254 takes the line behind a comment that ends with a backslash for a part of it.
 * ecs-init and later versions do not. A blank behind the backslash makes all of them agree.
 */
function endComment(raw: string): string {
  return raw.replace(/^([ \t]*[#;](?:[^\\]|\\.)*\\)([\r\n]*)$/s, '$1 $2');
}

/** One comment, assignment or other line, with its line break. */
interface Entry {
  raw: string;
  /** The key of an assignment. */
  key?: string;
  /** True when the text ended inside a quote or after a backslash. */
  open: boolean;
}

function isMarker(entry: Entry): boolean {
  return entry.raw.startsWith(marker);
}

function keysOf(entry: Entry): string[] {
  return entry.raw.slice(marker.length).trim().split(/\s+/);
}

/**
 * Divides the text as systemd does: quoted values, and values that end with a backslash, continue
 * on the next line.
 */
export function parseEntries(text: string): Entry[] {
  const entries: Entry[] = [];
  for (let start = 0; start < text.length;) {
    const { end, open } = endOfEntry(text, start);
    const raw = text.slice(start, end);
    const key = keyOf(raw);
    entries.push({ raw, open, ...(key === undefined ? {} : { key }) });
    start = end;
  }
  return entries;
}

/**
 * Not one regular expression: matching spaces both in the key and behind it takes quadratic time on
 * a long line of spaces.
 */
function keyOf(raw: string): string | undefined {
  const equals = equalsIn(raw);
  const key = raw.slice(0, Math.max(0, equals)).replace(/^[ \t]+/, '');
  return /^[^#;\s]/.test(key) && !/[\n\r]/.test(key) ? trimBlanks(key) : undefined;
}

/** An equals sign that begins the line is a part of the key. */
function equalsIn(line: string): number {
  return line.indexOf('=', line.search(/[^ \t]/) + 1);
}

function trimBlanks(text: string): string {
  let end = text.length;
  while (text[end - 1] === ' ' || text[end - 1] === '\t') end -= 1;
  return text.slice(0, end);
}

function endOfEntry(text: string, start: number): { end: number; open: boolean } {
  const line = /[^\n\r]*(?:\r\n|\n|\r|$)/y;
  line.lastIndex = start;
  const [first = ''] = line.exec(text) ?? [];
  const equals = equalsIn(first);
  const isComment = /^[ \t]*[#;]/.test(first);
  if (isComment || equals === -1) return { end: start + first.length, open: false };
  return endOfValue(text, start + equals + 1);
}

/** A quote opens only at the beginning of the value, or behind a closed quote. */
function endOfValue(text: string, start: number): { end: number; open: boolean } {
  let state: 'begin' | 'plain' | '"' | "'" = 'begin';
  for (let i = start; i < text.length; i++) {
    const char = text[i]!;
    if (state === '"' || state === "'") {
      if (char === '\\' && state === '"') i++;
      else if (char === state) state = 'begin';
    } else if (char === '\n' || char === '\r') {
      return { end: i + (char === '\r' && text[i + 1] === '\n' ? 2 : 1), open: false };
    } else if (char === '\\') {
      i++;
      state = 'plain';
      // A continued line at the end of the text would swallow the lines that are written after it.
      if (i >= text.length - 1 && /^[\n\r]?$/.test(text[i] ?? '')) return { end: text.length, open: true };
    } else if (state === 'begin' && (char === '"' || char === "'")) {
      state = char;
    } else if (char !== ' ' && char !== '\t') {
      state = 'plain';
    }
  }
  return { end: text.length, open: state === '"' || state === "'" };
}
