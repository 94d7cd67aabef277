/**
 * Parses a MIME message by the rules of Python's `email` parser, which cloud-init uses. User data
 * that cloud-init accepts must not be lost here because of a stricter rule.
 */

/** One leaf of a message. */
export interface Part {
  /** Lower case, without parameters; `text/plain` where the header is absent or malformed. */
  type: string;
  bytes: Buffer;
  /** From the `charset` parameter of Content-Type. */
  charset?: string;
  /** Names in lower case. */
  headers: Headers;
}

export interface Message {
  /** Every leaf, in order. */
  parts: Part[];
  /** Sentences about everything that could not be read, for the operator. */
  problems: string[];
}

type Headers = ReadonlyMap<string, string>;

/** EC2 takes 16 kB of user data. A message with more parts than this is damaged or hostile. */
const maxParts = 100;
/** Each level needs a boundary of its own. No real configuration nests deeper. */
const maxDepth = 10;

/**
 * True when the text begins with message headers, or when cloud-init would read it as a message.
 */
export function isMessage(text: string): boolean {
  // cloud-init looks for this word in the first 4096 bytes.
  if (/mime-version:/i.test(text.slice(0, 4096))) return true;
  const { headers } = readHeaders(linesOf(text));
  return headers.has('content-type') || headers.has('mime-version');
}

/** `text` holds one byte per character (latin1), so that no byte is lost. */
export function parseMessage(text: string): Message {
  const message: Message = { parts: [], problems: [] };
  readEntity(linesOf(text), 0, message);
  if (message.parts.length > maxParts) {
    message.problems.push(`has ${message.parts.length} parts; those after part ${maxParts} are not read`);
    message.parts.length = maxParts;
  }
  return message;
}

/** Python ends a line at CR, too. The line break stays at the end of its line. */
function linesOf(text: string): string[] {
  return text.match(/[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$/g) ?? [];
}

function readEntity(lines: readonly string[], depth: number, message: Message): void {
  const { headers, body } = readHeaders(lines);
  const type = typeOf(headers);
  if (depth > maxDepth) {
    message.problems.push(`has parts inside parts more than ${maxDepth} levels deep; they are not read`);
  } else if (type.startsWith('multipart/')) {
    const inner = splitParts(body, parametersOf(headers.get('content-type') ?? '').get('boundary'), message);
    for (const part of inner) readEntity(part, depth + 1, message);
  } else if (type.startsWith('message/')) {
    readEntity(body, depth + 1, message);
  } else {
    const charset = parametersOf(headers.get('content-type') ?? '').get('charset');
    const bytes = decode(body.join(''), headers.get('content-transfer-encoding') ?? '');
    message.parts.push({ type, bytes, headers, ...(charset !== undefined && { charset }) });
  }
}

/**
 * As Python's parser: the first line that is not a header begins the body, with or without an empty
 * line before it.
 */
function readHeaders(lines: readonly string[]): { headers: Headers; body: readonly string[] } {
  const headers = new Map<string, string>();
  let last: string | undefined;
  let at = 0;
  for (; at < lines.length; at++) {
    const line = withoutBreak(lines[at]!);
    // Mail folders put a line `From SENDER DATE` in front of each message.
    if (line.startsWith('From ')) {
      last = undefined;
      continue;
    }
    if (/^[ \t]/.test(line)) {
      if (last !== undefined) headers.set(last, `${headers.get(last)} ${line.trim()}`);
      continue;
    }
    const [, name, value = ''] = /^([!-9;-~]*):[ \t]*(.*)$/s.exec(line) ?? [];
    if (name === undefined) break;
    const key = name.toLowerCase();
    // The first header of a name counts. A header without a name is skipped.
    last = name === '' || headers.has(key) ? undefined : key;
    if (last !== undefined) headers.set(last, value);
  }
  const isBlank = at < lines.length && withoutBreak(lines[at]!) === '';
  return { headers, body: lines.slice(isBlank ? at + 1 : at) };
}

function typeOf(headers: Headers): string {
  const type = (headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
  return type.split('/').length === 2 ? type : 'text/plain';
}

/**
 * Parameters of a header, names in lower case; the pieces `name*0`, `name*1` … of a long one are
 * joined.
 */
export function parametersOf(header: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const [, name = '', index, quoted, plain = ''] of header.matchAll(
    /;\s*([^\s=;*]+)(?:\*(\d*)\*?)?\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))/g,
  )) {
    const value = quoted === undefined ? plain.trim().replace(/^<(.*)>$/, '$1') : quoted.replaceAll(/\\(["\\])/g, '$1');
    const key = name.toLowerCase();
    if (index !== undefined && index !== '' && index !== '0')
      parameters.set(key, `${parameters.get(key) ?? ''}${value}`);
    else if (!parameters.has(key)) parameters.set(key, value);
  }
  return parameters;
}

/** The lines of each part. The line break before a boundary belongs to the boundary. */
function splitParts(lines: readonly string[], boundary: string | undefined, message: Message): string[][] {
  const separator = boundary === undefined ? undefined : `--${boundary.trimEnd()}`;
  const kindOf = (line: string) => {
    const word = withoutBreak(line).replace(/[ \t]+$/, '');
    if (separator === undefined || !word.startsWith(separator)) return 'content';
    return word === separator ? 'next' : word === `${separator}--` ? 'end' : 'content';
  };
  const parts: string[][] = [];
  const rest: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const kind = kindOf(lines[at]!);
    if (kind === 'end') {
      rest.push(...lines.slice(at + 1));
      break;
    }
    if (kind === 'content') {
      // The text before the first boundary is for very old mail programs.
      (parts.at(-1) ?? rest).push(lines[at]!);
      continue;
    }
    // Boundaries that follow each other directly are one.
    while (at + 1 < lines.length && kindOf(lines[at + 1]!) !== 'content') at++;
    if (at + 1 < lines.length) parts.push([]);
  }
  if (parts.length === 0) {
    message.problems.push(
      boundary === undefined
        ? 'is a multipart message whose Content-Type names no boundary; nothing in it is read'
        : `is a multipart message, but its boundary ${JSON.stringify(boundary)} begins no part; nothing in it is read`,
    );
  }
  // Settings there were put into the wrong place. Plain words may stay.
  if (parts.length > 0 && /#ecs-node|x-ecs-node/i.test(rest.join('')))
    message.problems.push('mentions ecs-node before its first boundary or after its last one; nothing there is read');
  return parts.map((part) => {
    const end = part.pop();
    return end === undefined ? part : [...part, withoutBreak(end)];
  });
}

function withoutBreak(line: string): string {
  return line.replace(/(?:\r\n|\r|\n)$/, '');
}

function decode(body: string, encoding: string): Buffer {
  switch (encoding.trim().toLowerCase()) {
    case 'base64':
      return Buffer.from(body, 'base64');
    case 'quoted-printable': {
      const plain = body.replaceAll(/=(?:[ \t]*(?:\r\n|\r|\n)|(=)|([0-9A-Fa-f]{2}))/g, (_, equals, hex?: string) =>
        hex === undefined ? (equals ?? '') : String.fromCharCode(Number.parseInt(hex, 16)),
      );
      return Buffer.from(plain, 'latin1');
    }
    case 'x-uuencode':
    case 'uuencode':
    case 'x-uue':
    case 'uue':
      return fromUuencode(body) ?? Buffer.from(body, 'latin1');
    default:
      return Buffer.from(body, 'latin1');
  }
}

/** Undefined without the line `begin MODE NAME`. Each line begins with its number of bytes. */
function fromUuencode(body: string): Buffer | undefined {
  const [, content] = /(?:^|[\r\n])begin [0-7]+ [^\r\n]*(?:\r\n|\r|\n)(.*)/s.exec(body) ?? [];
  const decodeLine = (line: string) => {
    const [length = 0, ...sextets] = [...Buffer.from(line, 'latin1')].map((each) => (each - 32) & 63);
    const bits = sextets.map((each) => each.toString(2).padStart(6, '0')).join('');
    return (bits.match(/.{8}/g) ?? []).slice(0, length).map((each) => Number.parseInt(each, 2));
  };
  const lines = content?.split(/\r\n|\r|\n/);
  const end = lines?.findIndex((line) => line.trim() === 'end') ?? -1;
  return lines && Buffer.from(lines.slice(0, end === -1 ? undefined : end).flatMap(decodeLine));
}
