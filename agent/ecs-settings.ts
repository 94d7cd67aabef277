/** The settings of the ECS agent, as the files on this machine give them. */

import type { Config } from '../config/config.ts';
import type { Host } from '../core/host.ts';
import { paths } from '../core/state/state.ts';

/**
 * Both files that ecs-init and its unit read, the stronger one last. Throws when one of them cannot
 * be read.
 */
export async function readEcsConfig(machine: Pick<Host['machine'], 'readText'>): Promise<string> {
  const texts = await Promise.all([paths.imageEcsConfig, paths.ecsConfig].map((path) => machine.readText(path)));
  return texts.map((text) => text ?? '').join('\n');
}

/** The values of a setting: that of the files first, then that of the configuration. */
export type EcsSettings = (name: string) => readonly string[];

/** Reads the files once. Throws when one of them cannot be read. */
export async function readEcsSettings(
  { machine }: Pick<Host, 'machine'>,
  { ecs }: Pick<Config, 'ecs'>,
): Promise<EcsSettings> {
  const text = await readEcsConfig(machine);
  return (name) => [readSetting(text, name), ecs.settings[name]].filter((value) => value !== undefined);
}

/** The last assignment counts, as for systemd and ecs-init. */
export function readSetting(ecsConfig: string, name: string): string | undefined {
  const lines = ecsConfig.split(/\r?\n/).flatMap((line) => {
    const at = line.indexOf('=');
    const key = line
      .slice(0, Math.max(0, at))
      .replace(/^\s*export\s+/, '')
      .trim();
    return key === name ? [line.slice(at + 1).trim()] : [];
  });
  return lines.at(-1)?.replace(/^(["'])(.*)\1$/, '$2');
}
