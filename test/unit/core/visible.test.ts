import fc from 'fast-check';
import { expect, test } from 'vitest';
import { renderEffective } from '../../../commands/check.ts';
import { openCommandContext } from '../../../commands/open-command-context.ts';
import { openReport } from '../../../commands/report.ts';
import { commandTable } from '../../../commands/table.ts';
import { parseConfig } from '../../../config/config.ts';
import { ConfigError } from '../../../core/errors.ts';
import { parseLayer } from '../../../config/settings.ts';
import { visible, visibleLine } from '../../../core/visible.ts';

/**
 * Clears the screen, rings, hides what follows, turns the direction of writing, begins a new line.
 */
const hostile = 'a\u001b[2Jb\u0007c\rd\u009b31me\u202ef\u2066g\u2028h\u200fi\u{E0041}';
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const harmful = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]|\u{E0041}/u;

test('a foreign text neither controls the terminal nor shows another text than it holds', () => {
  expect(visible(hostile)).not.toMatch(harmful);
  expect(visible(hostile)).toContain(String.raw`a\u001b[2Jb\u0007c\rd`.replace(String.raw`\r`, String.raw`\u000d`));
  expect(visible('Büro 日本 👩\u200d🚀 – a\tb\n')).toBe('Büro 日本 👩\u200d🚀 – a\tb\n');
  expect(visibleLine('one\ntwo')).toBe(String.raw`one\ntwo`);
});

test('escaped JSON has the same value', () => {
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' })), (value) => {
      const text = JSON.stringify(value);
      expect(visible(text)).not.toMatch(harmful);
      expect(JSON.parse(visible(text))).toEqual(JSON.parse(text));
    }),
    { seed: 1 },
  );
});

function openOutput() {
  const output = { text: '', isTTY: true, write: (text: string) => ((output.text += text), true) };
  return output;
}

test('every command prints through the escape', () => {
  const output = openOutput();
  const known = { environment: {}, folder: '/', self: { file: '/x', args: [] }, logFlags: [], table: commandTable };
  const { print } = openCommandContext({ flags: {}, operands: [] }, { ...known, output } as unknown as Parameters<
    typeof openCommandContext
  >[1]);
  print(`reason: ${hostile}\nnext line\n`);
  expect(output.text).not.toMatch(harmful);
  expect(output.text.split('\n')).toHaveLength(3);
});

test.each(['text', 'json'])('log lines and errors on standard error are escaped: %s', async (format) => {
  const output = openOutput();
  const { log, fail } = await openReport(output, {}, ['--log-format', format]);
  log.warn('departure', { reason: hostile });
  fail(new ConfigError([{ path: `a\n${hostile}`, problem: `found ${hostile}` }]));
  fail(new Error(hostile));
  expect(output.text).not.toMatch(harmful);
  expect(output.text.split('\n').filter((line) => line.startsWith('    at ') === false).length).toBeLessThan(8);
});

test('"check" prints an escaped value as YAML of the same meaning', () => {
  const name = 'a\u202eb';
  const text = visible(renderEffective(parseConfig({ cluster: 'a', name }), () => undefined));
  expect(text).not.toMatch(harmful);
  expect(parseLayer(text, 'text').settings['name']).toBe(name);
});
