// The opinion of systemd itself on bootstrap/ecs-config-text.ts: whatever stood in ecs.config
// before, systemd then reads our settings as it reads them alone, and everything else as before.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import fc from 'fast-check';
import { renderEcsConfig } from '../../../bootstrap/ecs-config-text.ts';
import { faultOfValue } from '../../../config/ecs-value.ts';
import type { Scenario } from '../rig/contract.ts';

const key = fc.constantFrom('ECS_CLUSTER', 'ECS_LOGLEVEL', 'ECS_INSTANCE_ATTRIBUTES');
const value = fc
  .oneof(fc.string(), fc.constantFrom('{"stack":"prod"}', "it's", 'a  b', String.raw`DOMAIN\user`, 'x;y=z', '#no'))
  .filter((text) => faultOfValue(text) === undefined);
/** Each is a corner of systemd's parser (src/basic/env-file.c). */
const piece = fc.constantFrom(
  ...'"\'\\ \t\n\r#;=$`{}'.split(''),
  'A=',
  'ECS_CLUSTER=',
  'export ',
  'B ',
  '1=',
  'x',
  '\r\n',
);
const line = fc.oneof(
  fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
  fc.tuple(key, fc.array(piece, { maxLength: 6 })).map(([name, pieces]) => `${name}=${pieces.join('')}`),
  fc.constantFrom('OTHER=1', '# a comment', 'QUOTED="two\nlines"', 'OPEN="never closed', 'OPEN=\\'),
);
/** Versions of systemd disagree on a comment that ends in a backslash, so ours ends it. */
const continuedComment = /^[ \t]*[#;].*\\\r?$/m;
const before = fc
  .array(line, { maxLength: 6 })
  .map((lines) => lines.join('\n'))
  .filter((text) => !continuedComment.test(text.replaceAll('\r', '\n')));
const sample = fc.tuple(before, fc.dictionary(key, value, { minKeys: 1, maxKeys: 3 }));

/** Another one finds other texts: 700 of seed 90859307 were read on systemd 252. */
const seed = 1;

const unit = `[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
EnvironmentFile=/samples/%i
ExecStart=/usr/bin/env -0
StandardOutput=file:/samples/%i.read
`;

export const scenario: Scenario = {
  async live({ machine, until }) {
    const samples = fc.sample(sample, { numRuns: 150, seed });
    const names: string[] = [];
    const write = async (name: string, text: string) => {
      names.push(name);
      await machine.writeText(join('/samples', name), text);
    };
    await write('empty', '');
    for (const [at, [text, settings]] of samples.entries()) {
      await write(`${at}-before`, text);
      await write(`${at}-alone`, renderEcsConfig('', settings));
      await write(`${at}-after`, renderEcsConfig(text, settings));
    }
    await machine.writeText('/etc/systemd/system/sample@.service', unit);
    machine.start();
    await until(
      'systemd runs',
      async () => (await machine.run('/usr/bin/systemctl', 'is-active', 'sysinit.target')).code === 0,
    );
    const started = await machine.run('/usr/bin/systemctl', 'start', ...names.map((name) => `sample@${name}.service`));
    // systemd may refuse a text that stood there before. Our own must all be good.
    const read = async (name: string) => parse((await machine.readText(`/samples/${name}.read`)) ?? '');
    const usual = await read('empty');
    assert.ok(usual.has('PATH'), `systemd started the samples: ${started.stderr}`);
    let readable = 0;
    for (const [at, [text, settings]] of samples.entries()) {
      const [was, alone, is] = [await read(`${at}-before`), await read(`${at}-alone`), await read(`${at}-after`)];
      for (const name of ['INVOCATION_ID', 'SYSTEMD_EXEC_PID', 'JOURNAL_STREAM'])
        [was, alone, is].forEach((each) => each.delete(name));
      if (was.size === 0) continue;
      readable += 1;
      const wanted = new Map([...was].filter(([name]) => !(name in settings)));
      for (const name of Object.keys(settings)) if (alone.has(name)) wanted.set(name, alone.get(name)!);
      assert.deepEqual(
        Object.fromEntries(is),
        Object.fromEntries(wanted),
        `seed ${seed}, sample ${at}: ${JSON.stringify({ text, settings })}`,
      );
    }
    assert.ok(readable > 50, `systemd could read ${readable} of the texts before`);
  },
};

function parse(output: string): Map<string, string> {
  const entries = output.split('\0').filter((entry) => entry !== '');
  return new Map(entries.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
}
