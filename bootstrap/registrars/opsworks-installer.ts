/** Downloads and runs the installer of OpsWorks, which registers this instance and starts the OpsWorks agent. */

import type { Config } from '../../core/config.ts';
import { ConfigError, Refused } from '../../core/errors.ts';
import type { Exit, Host, Provisioning } from '../../core/host.ts';
import { spread, within } from '../../core/patience.ts';
import type { Trail } from '../step.ts';
import { ask } from '../waiting.ts';
import { placeOf } from './opsworks-place.ts';

/** Names that OpsWorks suggests are tried so often, then one that no other node can have; that it is taken too is no accident. */
const maxSuggested = 3;
const maxTries = 5;

/** The installer has tried for some seconds itself; OpsWorks takes about one call per second from all nodes together. */
const throttledPauseMs = 20_000;
const maxThrottledPauseMs = 60_000;

/** It installs packages and a Ruby: minutes on a small instance. */
const installerMs = 300_000;

const folderInArchive = 'opsworks-agent-installer';

/** A root login's, as the AWS CLI had it through sudo. */
const environment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
};

/** What `boot-registration` is told: one line for each key, sorted. */
export function renderPreconfig(
  parameters: Readonly<Record<string, string>>,
  stackId: string,
  hostname: string,
): string {
  const settings: Record<string, unknown> = { ...parameters, stack_id: stackId, hostname, import: true };
  return Object.keys(settings)
    .toSorted()
    .map((key) => `:${key}: ${JSON.stringify(settings[key])}\n`)
    .join('');
}

/** Registers; a host name that was taken meanwhile is changed in the trail. Returns when the installer says it is done. */
export async function install(host: Host, config: Config, trail: Trail, signal: AbortSignal): Promise<void> {
  const place = placeOf(trail);
  const provisioning = await ask(host, trail, signal, (inner) => host.cloud.readProvisioning(place.stackId, inner));
  for (let tries = 1, pauseMs = throttledPauseMs; ;) {
    // Before the installer runs: after a crash the next run must look before it registers again.
    trail.registered = { registrar: 'opsworks', ...place };
    await trail.keep();
    const exit = await runInstaller(host, provisioning, place.stackId, trail, signal);
    if (exit.code === 0) return;
    const verdict = judgeTail(exit.tail);
    host.log.warn('installer failed', { code: exit.code, verdict, tail: exit.tail.slice(-500) });
    if (verdict === 'already registered') return;
    if (verdict === 'throttled') {
      // For as long as the bootstrap has time: a fleet that boots together must not die of it.
      await host.clock.sleep(spread(pauseMs), signal);
      pauseMs = Math.min(pauseMs * 2, maxThrottledPauseMs);
      continue;
    }
    if (tries >= maxTries) throw installerFailed(exit);
    if (verdict === 'hostname taken') await chooseAnother(host, config, trail, tries, signal);
    else if (tries >= 2) throw installerFailed(exit);
    // Spreads nodes that were given the same name, and lets a download site recover.
    await host.clock.sleep(2_000 + Math.random() * 3_000, signal);
    tries++;
  }
}

type Verdict = 'hostname taken' | 'already registered' | 'throttled' | 'failed';

/** What the installer's last words mean. It passes on what RegisterInstance answered. */
export function judgeTail(tail: string): Verdict {
  const lines = tail.split('\n');
  if (lines.some((line) => /host ?name/i.test(line) && /taken|already|in use|exist|unique|different/i.test(line))) {
    return 'hostname taken';
  }
  if (lines.some((line) => /already (been )?(registered|assigned|part of)/i.test(line))) return 'already registered';
  return lines.some((line) => /throttl|rate exceeded|request ?limit ?exceeded|too many requests/i.test(line))
    ? 'throttled'
    : 'failed';
}

/** Of nodes that boot together all get the same suggestion and one gets the name: a fleet must not die of that. */
async function chooseAnother(
  host: Host,
  config: Config,
  trail: Trail,
  tries: number,
  signal: AbortSignal,
): Promise<void> {
  const { layerId } = placeOf(trail);
  if (config.hostname !== '') {
    const problem = `"${trail.hostname}" is taken in the stack; put {shortId} into the template, or remove the record that has the name`;
    throw new ConfigError([{ path: 'hostname', problem }]);
  }
  const taken = trail.hostname;
  const suggested = await ask(host, trail, signal, (inner) => host.cloud.suggestHostname(layerId, inner));
  trail.hostname = tries < maxSuggested ? suggested : renderOwnName(suggested, host.identity.instanceId);
  host.log.warn('host name taken', { taken, next: trail.hostname });
}

/** `web-7` of i-0123456789abcdef0 becomes `web-9abcdef0`, cut to what a host name may be. */
function renderOwnName(suggested: string, instanceId: string): string {
  const own = `-${instanceId.slice(-8)}`;
  return suggested.replace(/-?\d+$/, '').slice(0, 63 - own.length) + own;
}

async function runInstaller(
  host: Host,
  { installerUrl, parameters }: Provisioning,
  stackId: string,
  trail: Trail,
  signal: AbortSignal,
): Promise<Exit> {
  const folder = await ask(host, trail, signal, (inner) => host.machine.unpack(installerUrl, inner), downloadMs);
  try {
    const home = `${folder}/${folderInArchive}`;
    if (!(await host.machine.list(home)).includes('boot-registration')) {
      throw new Refused(
        `the installer at ${installerUrl.replace(/\?.*$/s, '')} holds no ${folderInArchive}/boot-registration`,
      );
    }
    const preconfig = renderPreconfig(parameters, stackId, trail.hostname ?? host.identity.hostname);
    await host.machine.writeText(`${home}/preconfig`, preconfig, 0o660);
    const bucket = parameters['assets_download_bucket'];
    const command = {
      file: `${home}/boot-registration`,
      args: [],
      environment: { ...environment, ...(bucket === undefined ? {} : { OPSWORKS_ASSETS_DOWNLOAD_BUCKET: bucket }) },
      // It fetches the agent from S3, and calls OpsWorks itself.
      downloads: true as const,
      folder,
      umask: 0o007,
    };
    const run = (inner: AbortSignal) => host.machine.run(command, inner);
    return await within(Math.min(installerMs, trail.leftMs()), run, host.clock, signal);
  } finally {
    await host.machine.remove(folder);
  }
}

/** Some tens of megabytes over a busy NAT gateway. */
const downloadMs = 120_000;

function installerFailed({ code, tail }: Exit): Refused {
  const last = tail.trimEnd().split('\n').slice(-3).join(' | ');
  return new Refused(`the OpsWorks installer ended with exit code ${code}: ${last || 'it said nothing'}`);
}
