// Finds links of Markdown pages whose file or heading is gone.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const fenced = /^(```|~~~)[\s\S]*?^\1/gm;

/** The places, as `LINE: message`, of links in a Markdown file that lead nowhere in this tree. */
export function findDeadLinks(file: string): { line: number; what: string }[] {
  const text = readFileSync(file, 'utf8').replaceAll(fenced, (block) => block.replaceAll(/[^\n]/g, ' '));
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(({ index, 1: target = '' }) => {
    if (/^[a-z]+:/.test(target)) return [];
    const [path = '', anchor] = target.split('#');
    const page = path === '' ? file : normalize(join(dirname(file), path));
    const line = text.slice(0, index).split('\n').length;
    if (!existsSync(page)) return [{ line, what: `the link leads to ${page}, which does not exist` }];
    if (anchor === undefined || !page.endsWith('.md') || headingsOf(page).has(anchor)) return [];
    return [{ line, what: `${page} has no heading #${anchor}` }];
  });
}

/** The anchors that GitHub gives to the headings of a page. */
function headingsOf(page: string): Set<string> {
  const text = readFileSync(page, 'utf8').replaceAll(fenced, '');
  const counts = new Map<string, number>();
  return new Set(
    [...text.matchAll(/^#+ (.*)$/gm)].map(({ 1: heading = '' }) => {
      const words = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
      const anchor = words
        .replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '')
        .trim()
        .replaceAll(' ', '-');
      const count = counts.get(anchor) ?? 0;
      counts.set(anchor, count + 1);
      return count === 0 ? anchor : `${anchor}-${count}`;
    }),
  );
}
