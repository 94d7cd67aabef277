/** One line per event: a constant message, data in fields. */

export type Level = 'debug' | 'info' | 'warn' | 'error';
export type Fields = Record<string, unknown>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** A log that adds these fields to every line. */
  with(fields: Fields): Log;
}

export interface Entry {
  at: number;
  level: Level;
  message: string;
  fields: Fields;
}

/** A log that passes each entry to `write`. */
export function openLog(write: (entry: Entry) => void, now: () => number, fields: Fields = {}): Log {
  const at =
    (level: Level) =>
    (message: string, more: Fields = {}) =>
      write({ at: now(), level, message, fields: { ...fields, ...more } });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (more) => openLog(write, now, { ...fields, ...more }),
  };
}

/** For machines: one JSON object. */
export function renderJson(entry: Entry): string {
  const { at, level, message, fields } = entry;
  return JSON.stringify({ time: new Date(at).toISOString(), level, message, ...fields });
}

/** For people: time, message, `key=value` fields. */
export function renderText(entry: Entry): string {
  const time = new Date(entry.at).toISOString().slice(11, 23);
  const level = entry.level === 'info' ? '' : `${entry.level.toUpperCase()} `;
  return `${time} ${level}${renderMessage(entry)}`;
}

/** The message and its fields, where something else says the time and the level. */
export function renderMessage({ message, fields }: Entry): string {
  const words = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${renderValue(value)}`);
  return `${message}${words.join('')}`;
}

function renderValue(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\w.:/@+-]+$/.test(text) ? text : JSON.stringify(text);
}
