/** The contract of reading configuration documents, for every implementation. */

import { expect, test } from 'vitest';
import { Refused } from '../../core/errors.ts';
import type { ConfigurationCloud, RemoteDocument } from '../../core/host.ts';

/** A path of parameters and a folder of a bucket, with functions that put documents there. */
export interface ConfigurationStage {
  ssm: string;
  s3: string;
  /** `secret` makes it a SecureString. */
  putParameter(name: string, text: string, secret?: boolean): Promise<void>;
  deleteParameter(name: string): Promise<void>;
  /** The key is relative to the folder. */
  putObject(key: string, text: string): Promise<void>;
  deleteObject(key: string): Promise<void>;
}

type Open = () => Promise<{ cloud: ConfigurationCloud; configuration?: ConfigurationStage }>;

const patient = new AbortController().signal;

const versionsOf = (documents: readonly RemoteDocument[]) =>
  Object.fromEntries(documents.map(({ name, version }) => [name, version]));
const textsOf = (documents: readonly RemoteDocument[]) => documents.map(({ name, text }) => [name, text]);

export function describeConfiguration(open: Open): void {
  for (const kind of ['ssm', 's3'] as const) {
    const where = kind === 'ssm' ? 'parameters' : 'objects';
    const setUp = async () => {
      const { cloud, configuration } = await open();
      const stage = configuration!;
      // Parameters can have any name, but only objects named *.yaml are documents.
      const put = (name: string, text: string) =>
        kind === 'ssm' ? stage.putParameter(`${name}.yaml`, text) : stage.putObject(`${name}.yaml`, text);
      const remove = (name: string) =>
        kind === 'ssm' ? stage.deleteParameter(`${name}.yaml`) : stage.deleteObject(`${name}.yaml`);
      const read = (known: Record<string, string> = {}) => cloud.readDocuments(stage[kind], known, patient);
      return { stage, put, remove, read };
    };

    test(`${where} are read exactly, in the order of their names, over any number of pages`, async () => {
      const { put, read } = await setUp();
      expect(await read().catch(() => [])).toEqual([]);
      const texts = Array.from({ length: 23 }, (_, index) => [
        `doc-${String(index).padStart(2, '0')}.yaml`,
        `n: ${index}\n`,
      ]);
      for (const [name, text] of texts.toReversed()) await put(name!.replace('.yaml', ''), text!);
      expect(textsOf(await read())).toEqual(texts);
      await put('doc-99', 'text: "ü 漢 😀 <&> \'"\n\ttab\n');
      expect(textsOf(await read()).at(-1)).toEqual(['doc-99.yaml', 'text: "ü 漢 😀 <&> \'"\n\ttab\n']);
    });

    test(`${where} come without a text while their version is known, and no longer come after their removal`, async () => {
      const { put, remove, read } = await setUp();
      await put('a', 'one: 1\n');
      await put('b', 'two: 2\n');
      const first = versionsOf(await read());
      expect(textsOf(await read(first))).toEqual([
        ['a.yaml', undefined],
        ['b.yaml', undefined],
      ]);
      await put('a', 'one: 11\n');
      const second = await read(first);
      expect(textsOf(second)).toEqual([
        ['a.yaml', 'one: 11\n'],
        ['b.yaml', undefined],
      ]);
      await remove('b');
      expect(textsOf(await read(versionsOf(second)))).toEqual([['a.yaml', undefined]]);
    });
  }

  test('reads an encrypted document in clear text, once for each version', async () => {
    const { cloud, configuration: stage } = await open();
    await stage!.putParameter('secret', 'disk: {checks: 4}\n', true);
    await stage!.putParameter('plain', 'disk: {checks: 5}\n');
    const documents = await cloud.readDocuments(stage!.ssm, {}, patient);
    expect(textsOf(documents)).toEqual([
      ['plain', 'disk: {checks: 5}\n'],
      ['secret', 'disk: {checks: 4}\n'],
    ]);
    const again = await cloud.readDocuments(stage!.ssm, versionsOf(documents), patient);
    expect(textsOf(again)).toEqual([
      ['plain', undefined],
      ['secret', undefined],
    ]);
  });

  test('reads only documents, and only those directly in the folder', async () => {
    const { cloud, configuration: stage } = await open();
    await stage!.putObject('a.yaml', 'one: 1\n');
    await stage!.putObject('README.md', '# notes\n');
    await stage!.putObject('deeper/b.yaml', 'two: 2\n');
    expect(textsOf(await cloud.readDocuments(stage!.s3, {}, patient))).toEqual([['a.yaml', 'one: 1\n']]);
    await stage!.putParameter('c', 'three: 3\n');
    await stage!.putParameter('deeper/d', 'four: 4\n');
    expect(textsOf(await cloud.readDocuments(stage!.ssm, {}, patient))).toEqual([['c', 'three: 3\n']]);
  });

  test('refuses documents that are too large, alone or together', async () => {
    const { cloud, configuration: stage } = await open();
    const read = () => cloud.readDocuments(stage!.s3, {}, patient);
    await stage!.putObject('large.yaml', `# ${'x'.repeat(262_144)}`);
    await expect(read()).rejects.toMatchObject({ name: 'Refused', code: 'DocumentTooLarge' });
    await stage!.deleteObject('large.yaml');
    await stage!.putObject('small.yaml', `# ${'x'.repeat(262_000)}`);
    expect(await read()).toHaveLength(1);
  });

  test('refuses a missing bucket; a path without parameters is empty', async () => {
    const { cloud } = await open();
    await expect(cloud.readDocuments('s3://ecs-node-there-is-none/x', {}, patient)).rejects.toThrow(Refused);
    expect(await cloud.readDocuments('ssm:/there/is/none', {}, patient)).toEqual([]);
  });
}
