// npm run docs: writes docs/configuration.md, docs/commands.md, the manual pages and the policies
// of the examples, so that they cannot differ from the code. A test compares them.

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { renderAll } from './docs/render-all.ts';

for (const [file, text] of Object.entries(renderAll())) {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  console.log(`wrote ${file}`);
}
