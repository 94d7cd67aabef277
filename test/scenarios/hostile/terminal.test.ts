/** The shipped binary, and texts of other people that it shows on a terminal. */

import { vi } from 'vitest';
import { waitFor } from '../../../simulator/wait-for.ts';
import { scenario } from '../scenario.ts';
import { settings } from '../stage.ts';

vi.setConfig({ testTimeout: 300_000 });

/** Clears the screen, rings, colours, turns the direction of writing, and begins a new line. */
const hostile = 'a\u001b[2Jb\u0007c\rd\u009b31me\u202ef\u2066g\u2028h\u200fi\u{E0041}';
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const harmful = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]|\u{E0041}/u;

/** Each is named in its text, so that it is seen to be shown. */
const text = (what: string) => `${what} ${hostile}`;
const shown = (what: string) => `${what} ${String.raw`a\u001b[2Jb\u0007c`}`;

scenario(
  'no reason, tag or task family steers the terminal of a person who asks',
  { flags: settings({ 'leave.drainSeconds': 3600 }) },
  async (scene) => {
    const { expect, simulator } = scene;
    const node = await scene.launch();
    await scene.inService(node);
    await scene.logged(node, 'joined');
    simulator.verbs.setTag(node.id, 'Name', text('name'));
    simulator.verbs.setTag(node.id, 'ecs-node:name', `{${text('tag')}}`);
    simulator.verbs.runTask('demo', node.id, { family: text('family'), stopMs: 3_600_000 });
    const said: string[] = [];
    const run = async (...words: string[]) => {
      const { stdout, stderr } = await node.run(['--log-format', 'text', ...words]);
      said.push(stdout, stderr);
      return `${stdout}${stderr}`;
    };
    await run('leave', '--no-wait', '--reason', text('reason'));
    await waitFor('the task is named', async () => (await run('status')).includes('family a'));
    const status = await run('status');
    const checked = await run('check', '--metadata');
    const fleet = await run('fleet', '--cluster', 'demo');
    await run('doctor');
    expect(said.filter((each) => harmful.test(each))).toEqual([]);
    // They were there to be found.
    expect(status).toContain(shown('reason'));
    expect(status).toContain(shown('family'));
    expect(checked).toContain(shown('tag'));
    // EC2's XML carries no control characters.
    expect(fleet).toMatch(/ name .*\\u202ef\\u2066g/);
  },
);
