/** The contract of `Machine`, for every implementation. */

import { afterEach, describe, expect, test } from 'vitest';
import { ConfigError, Refused, Unavailable } from '../../core/errors.ts';
import type { Machine } from '../../core/host.ts';

export interface MachineStage {
  machine: Machine;
  /**
   * Adds a program that prints its arguments and the variable `GREETING`, and exits with `code`.
   */
  addProgram(path: string, code: number): Promise<void>;
  /** Writes a file that is not UTF-8. */
  addBinaryFile(path: string): Promise<void>;
  /** Serves a .tgz and returns its URL; the values are the files' texts. */
  serveArchive(files: Record<string, string>): Promise<string>;
  /** Returns a URL that answers with this status. */
  serveStatus(status: number): Promise<string>;
  /** Returns a URL without a listener. */
  nowhere(): Promise<string>;
  close(): Promise<void>;
}

const patient = new AbortController().signal;

export function describeMachine(name: string, open: () => Promise<MachineStage>): void {
  describe(`machine: ${name}`, () => {
    let stage: MachineStage | undefined;
    const node = async () => (stage = await open());
    afterEach(async () => stage?.close());

    describe('files', () => {
      test('reads a written file; a missing file is absent', async () => {
        const { machine } = await node();
        expect(await machine.readText('/etc/ecs/ecs.config')).toBeUndefined();
        expect(await machine.writeText('/etc/ecs/ecs.config', 'ECS_CLUSTER=demo\n')).toBe('changed');
        expect(await machine.readText('/etc/ecs/ecs.config')).toBe('ECS_CLUSTER=demo\n');
      });

      test('does not write a file whose text is the same', async () => {
        const { machine } = await node();
        await machine.writeText('/etc/a', 'one');
        expect(await machine.writeText('/etc/a', 'one')).toBe('unchanged');
        expect(await machine.writeText('/etc/a', 'two')).toBe('changed');
        expect(await machine.writeText('/etc/a', 'two', 0o600)).toBe('changed');
        expect(await machine.writeText('/etc/a', 'two', 0o600)).toBe('unchanged');
      });

      test('a private file that is written without a mode stays private', async () => {
        const { machine } = await node();
        await machine.writeText('/etc/a', 'one', 0o600);
        await machine.writeText('/etc/a', 'two');
        expect(await machine.writeText('/etc/a', 'two', 0o600)).toBe('unchanged');
      });

      test('removing returns whether the path existed, and removes whole folders', async () => {
        const { machine } = await node();
        await machine.writeText('/var/lib/x/a', '1');
        await machine.writeText('/var/lib/x/y/b', '2');
        expect(await machine.remove('/var/lib/x')).toBe(true);
        expect(await machine.remove('/var/lib/x')).toBe(false);
        expect(await machine.readText('/var/lib/x/y/b')).toBeUndefined();
      });

      test('a folder lists its names in order; a missing folder lists nothing', async () => {
        const { machine } = await node();
        for (const file of ['20-b.yaml', '10-a.yaml', 'sub/c']) await machine.writeText(`/etc/d/${file}`, 'x');
        expect(await machine.list('/etc/d')).toEqual(['10-a.yaml', '20-b.yaml', 'sub']);
        expect(await machine.list('/etc/none')).toEqual([]);
      });

      test('a folder that is set aside stands beside its place, which is free', async () => {
        const { machine } = await node();
        expect(await machine.setAside('/var/lib/x')).toBe(false);
        for (const text of ['one', 'two']) {
          await machine.writeText('/var/lib/x/a', text);
          expect(await machine.setAside('/var/lib/x')).toBe(true);
          expect(await machine.readText('/var/lib/x/a')).toBeUndefined();
          expect(await machine.readText('/var/lib/x.damaged/a')).toBe(text);
        }
      });

      test('a file that is not text is a ConfigError', async () => {
        const { machine, addBinaryFile } = await node();
        await addBinaryFile('/etc/binary');
        await expect(machine.readText('/etc/binary')).rejects.toThrow(ConfigError);
      });

      test('a relative path throws', async () => {
        const { machine } = await node();
        await expect(machine.readText('etc/a')).rejects.toThrow(/absolute/);
        await expect(machine.writeText('etc/a', '')).rejects.toThrow(/absolute/);
      });
    });

    describe('programs', () => {
      test('a program gets its arguments and its environment, and returns its exit code', async () => {
        const { machine, addProgram } = await node();
        await addProgram('/opt/greet', 3);
        const environment = { GREETING: 'good morning' };
        const exit = await machine.run({ file: '/opt/greet', args: ['$HOME', 'a b'], environment }, patient);
        expect(exit).toEqual({ code: 3, tail: 'good morning $HOME a b\n' });
      });

      test('a missing program is refused', async () => {
        const { machine } = await node();
        const run = machine.run({ file: '/opt/none', args: [], environment: {} }, patient);
        await expect(run).rejects.toThrow(Refused);
        await expect(run).rejects.toMatchObject({ code: 'ENOENT' });
      });

      test('an archive is unpacked into a new folder each time; the folder can be removed', async () => {
        const { machine, serveArchive } = await node();
        const url = await serveArchive({ 'installer/boot': '#!/bin/sh\n', 'installer/lib/x': '1' });
        const [one, two] = [await machine.unpack(url, patient), await machine.unpack(url, patient)];
        expect(one).not.toBe(two);
        expect(await machine.readText(`${one}/installer/boot`)).toBe('#!/bin/sh\n');
        expect(await machine.readText(`${one}/installer/lib/x`)).toBe('1');
        await machine.writeText(`${one}/installer/preconfig`, ':x: 1\n', 0o600);
        expect(await machine.remove(one)).toBe(true);
        expect(await machine.readText(`${one}/installer/boot`)).toBeUndefined();
        expect(await machine.readText(`${two}/installer/boot`)).toBe('#!/bin/sh\n');
      });

      test('an archive that is missing, or has a path outside its folder, is refused', async () => {
        const { machine, serveArchive, serveStatus } = await node();
        const climbing = await serveArchive({ good: 'x', '../escaped': 'x' });
        await expect(machine.unpack(climbing, patient)).rejects.toThrow(Refused);
        await expect(machine.unpack(await serveStatus(404), patient)).rejects.toThrow(Refused);
      });
    });

    describe('the rest', () => {
      test('a probe returns the status; without a server it is Unavailable', async () => {
        const { machine, serveStatus, nowhere } = await node();
        expect(await machine.probe(await serveStatus(200), patient)).toBe(200);
        expect(await machine.probe(await serveStatus(503), patient)).toBe(503);
        await expect(machine.probe(await nowhere(), patient)).rejects.toThrow(Unavailable);
      });

      test('disk and memory have a size, and at most that much is free', async () => {
        const { machine } = await node();
        const { uses, unmeasured } = await machine.measureDisks(['/']);
        expect(unmeasured).toEqual([]);
        const disk = uses[0]!;
        expect(disk.path).toBe('/');
        expect(disk.filesystem).not.toBe('');
        expect(disk.mountPath).toMatch(/^\//);
        expect(disk.usedBytes + disk.freeBytes).toBeLessThanOrEqual(disk.totalBytes);
        expect(disk.freeInodes).toBeLessThanOrEqual(disk.totalInodes);
        const memory = await machine.measureMemory();
        expect(memory.availableBytes).toBeLessThanOrEqual(memory.totalBytes);
        expect(memory.swapFreeBytes).toBeLessThanOrEqual(memory.swapTotalBytes);
      });

      test('the boot id stays the same within a boot', async () => {
        const { machine } = await node();
        expect(await machine.readBootId()).toBe(await machine.readBootId());
        expect(await machine.readBootId()).not.toBe('');
      });

      test('a process is told from a later one with its pid, and one that does not run is absent', async () => {
        const { machine } = await node();
        const own = await machine.readProcess();
        expect(own).toMatchObject({ pid: expect.any(Number), startTicks: expect.stringMatching(/^\d+$/) });
        expect(await machine.readProcess(own!.pid)).toEqual(own);
        // Above the largest pid that Linux gives.
        expect(await machine.readProcess(2 ** 22 + 1)).toBeUndefined();
      });

      test('writing to the console and notifying systemd never fail', async () => {
        const { machine } = await node();
        await expect(machine.say('node leaves: disk full')).resolves.toBeUndefined();
        await expect(machine.notify(['STATUS=leaving'])).resolves.toBeUndefined();
      });
    });
  });
}
