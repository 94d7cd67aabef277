/** Takes a MIME message apart, as far as user data needs it: nested multiparts, transfer encodings, and bounds on both. */

export interface Part {
  /** Lower case, without parameters. */
  type: string;
  bytes: Buffer;
}

/** cloud-init itself stops caring long before. */
const maxParts = 100;
const maxDepth = 4;

/** Every leaf of a multipart message, in order; undefined when the text is none. A part that cannot be read is left out. */
export function parseMultipart(text: string): Part[] | undefined {
  const { headers, body } = divide(text);
  if (!/^multipart\//i.test(headers.get('content-type') ?? '')) return undefined;
  return leaves(headers, body, 0).slice(0, maxParts);
}

function leaves(headers: Map<string, string>, body: string, depth: number): Part[] {
  const type = headers.get('content-type') ?? 'text/plain';
  if (!/^multipart\//i.test(type)) {
    const bytes = decode(body, headers.get('content-transfer-encoding') ?? '');
    return [{ type: type.split(';')[0]!.trim().toLowerCase(), bytes }];
  }
  const boundary = parameter(type, 'boundary');
  if (boundary === undefined || depth >= maxDepth) return [];
  return split(body, boundary).flatMap((inner) => {
    const part = divide(inner);
    return leaves(part.headers, part.body, depth + 1);
  });
}

/** Headers (unfolded, names in lower case) and body. */
function divide(text: string): { headers: Map<string, string>; body: string } {
  const headers = new Map<string, string>();
  let rest = text;
  // A part may begin with its empty line at once: it has no headers then.
  for (let last: string | undefined; ;) {
    const end = rest.indexOf('\n');
    const line = (end === -1 ? rest : rest.slice(0, end)).replace(/\r$/, '');
    const [, name, value] = /^([!-9;-~]+):\s*(.*)$/.exec(line) ?? [];
    const isFolded = /^[ \t]+\S/.test(line) && last !== undefined;
    if (name === undefined && !isFolded)
      return { headers, body: line === '' ? rest.slice(end === -1 ? rest.length : end + 1) : rest };
    if (isFolded) headers.set(last!, `${headers.get(last!)} ${line.trim()}`);
    else headers.set((last = name!.toLowerCase()), value!);
    if (end === -1) return { headers, body: '' };
    rest = rest.slice(end + 1);
  }
}

function parameter(header: string, name: string): string | undefined {
  const [, quoted, plain] = new RegExp(`;\\s*${name}\\s*=\\s*(?:"([^"]+)"|([^\\s;]+))`, 'i').exec(header) ?? [];
  return quoted ?? plain;
}

/** What lies between the lines `--boundary`; the line break before such a line belongs to it. */
function split(body: string, boundary: string): string[] {
  const parts: string[][] = [];
  let current: string[] | undefined;
  for (const line of body.split('\n')) {
    const word = line.trimEnd();
    if (word === `--${boundary}--`) break;
    if (word === `--${boundary}`) parts.push((current = []));
    else current?.push(line);
  }
  return parts.map((lines) => lines.join('\n').replace(/\r$/, ''));
}

function decode(body: string, encoding: string): Buffer {
  switch (encoding.trim().toLowerCase()) {
    case 'base64':
      return Buffer.from(body, 'base64');
    case 'quoted-printable': {
      const plain = body.replaceAll(/=\r?\n/g, '');
      const bytes = plain.replaceAll(/=([0-9A-Fa-f]{2})/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
      return Buffer.from(bytes, 'latin1');
    }
    default:
      // The message was read as latin1, so that no byte of it is lost.
      return Buffer.from(body, 'latin1');
  }
}
