import { paths } from '../../../core/state/state.ts';
import type { Invariant } from './invariant.ts';

const states: readonly string[] = [paths.bootstrap, paths.departure, paths.request, paths.agent];

/** The limit for any file that the program keeps. A state that grows without end is a leak. */
const maxBytes = 64 * 1024;

export const filesAreWhole: Invariant = {
  name: 'files are whole',
  sentence:
    'After every write, ecs.config, state and configuration hold the whole old text or the whole new one, and keep the lines of other programs.',
  afterCall(region, node, { verb, args }) {
    if (verb !== 'writeText') return undefined;
    const [path, text] = args as [string, string];
    if (states.includes(path)) return stateFault(path, text, node.id);
    if (path === paths.ecsConfig)
      return ecsConfigFault(text, node.truth.foreignEcsConfig, region.scenario.config.cluster);
    return undefined;
  },
};

function stateFault(path: string, text: string, id: string): string | undefined {
  if (text.length > maxBytes) return `${path} has grown to ${text.length} bytes`;
  try {
    const { instanceId } = JSON.parse(text) as { instanceId?: string };
    return instanceId === id ? undefined : `${path} is of ${instanceId}`;
  } catch {
    return `${path} is not whole`;
  }
}

function ecsConfigFault(text: string, foreign: string, cluster: string): string | undefined {
  const lines = text.split(/\r?\n/);
  const clusters = lines.filter((line) => line.startsWith('ECS_CLUSTER='));
  if (clusters.join() !== `ECS_CLUSTER=${cluster}`) return `ecs.config has ${clusters.join() || 'no cluster'}`;
  if (new Set(lines).size < lines.filter((line) => line !== '').length) return 'ecs.config has a line twice';
  const lost = foreign.split(/\r?\n/).filter((line) => !line.startsWith('ECS_CLUSTER=') && !lines.includes(line));
  return lost.length === 0 ? undefined : `ecs.config lost ${lost.join(', ')}`;
}
