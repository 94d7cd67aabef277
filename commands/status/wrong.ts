/** Judges a status for `ecs-node status --check`: one line for each thing that is wrong. Pure. */

import type { AgentStatus } from '../../agent/status.ts';
import type { BootstrapState } from '../../core/state/state.ts';
import { isSilent, isTrouble } from './render-status.ts';
import type { Status } from './status-report.ts';

/**
 * Empty for a node that is in service or still on its way there. A node that drains or has left is
 * not in service, so its departure counts. A departure that was called off does not.
 */
export function wrongOf({ bootstrap, agent, departure, daemonTasks, remarks }: Status, now: number): string[] {
  if (bootstrap === undefined && agent === undefined) return ['nothing has run on this machine yet'];
  const leaves =
    departure === undefined || departure.undoneAt !== undefined
      ? []
      : [`departure (${departure.cause}): ${departure.reason}`];
  const tasks = Object.entries(daemonTasks?.families ?? {})
    .filter(([, { standing }]) => standing === 'waits' || standing === 'unknown')
    .map(([family, { standing, detail }]) => `daemon task ${family} ${standing}: ${detail}`);
  return [...wrongOfBootstrap(bootstrap), ...wrongOfAgent(agent, bootstrap, now), ...tasks, ...leaves, ...remarks];
}

function wrongOfBootstrap(bootstrap: BootstrapState | undefined): string[] {
  if (bootstrap === undefined) return ['the bootstrap has not run yet'];
  const { outcome, reason, steps } = bootstrap;
  const failed = steps.filter(({ state }) => state === 'failed').map(({ name, error }) => `step ${name}: ${error}`);
  if (outcome === 'failed' || outcome === 'held') {
    return [`bootstrap ${outcome}${reason === undefined ? '' : `: ${reason}`}`, ...failed];
  }
  return failed;
}

function wrongOfWatcher(finding: string, reason = finding, error: string | undefined): string {
  if (error === undefined) return reason;
  return isTrouble(finding) ? `${reason}: ${error}` : `could not tell: ${error}`;
}

function wrongOfAgent(agent: AgentStatus | undefined, bootstrap: BootstrapState | undefined, now: number): string[] {
  // The agent starts after the bootstrap.
  if (agent === undefined) return bootstrap?.outcome === 'done' ? ['the agent has not run since this boot'] : [];
  const { join, launchHook, watchers, chores = {} } = agent;
  return [
    ...(isSilent(agent, now) ? ['the agent gives no sign of life: systemctl status ecs-node'] : []),
    ...(join.state === 'failed' ? [`not joined: ${join.detail}`] : []),
    ...(launchHook === undefined ? [] : [`launch hook not completed: ${launchHook.why}`]),
    ...Object.entries(watchers).flatMap(([name, { finding, reason, needsPerson, error }]) =>
      isTrouble(finding) || needsPerson === true || error !== undefined
        ? [`${name}: ${wrongOfWatcher(finding, reason, error)}`]
        : [],
    ),
    ...Object.entries(chores).flatMap(([name, { outcome, error }]) =>
      outcome === 'failed' ? [`${name}: ${error ?? 'failed'}`] : [],
    ),
  ];
}
