/** The machine's own console, for whoever looks at the instance's screen or `get-console-output`. */

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/** Never throws, never makes the file, never waits for a serial line that nobody reads. */
export async function say(file: string, line: string): Promise<void> {
  // Control characters in somebody's error message would otherwise steer the terminal.
  const text = line.replaceAll(/\p{Cc}+/gu, ' ');
  try {
    const handle = await open(
      file,
      constants.O_WRONLY | constants.O_APPEND | constants.O_NOCTTY | constants.O_NONBLOCK,
    );
    try {
      await handle.write(`${text}\r\n`);
    } finally {
      await handle.close();
    }
  } catch {
    // No console, or one that is busy: the journal has the line too.
  }
}
